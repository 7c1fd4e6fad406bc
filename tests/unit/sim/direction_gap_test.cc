// diagnostics.direction_gap in whole federated runs, against what is known of
// them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/analysis/direction.h"
#include "common/config/build.h"
#include "common/config/load.h"
#include "common/report/direction_facts.h"
#include "common/report/round_report.h"
#include "tests/support/status_matchers.h"
#include "tools/sim/simulator.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Numbers = std::map<std::string, double>;

struct Measured {
  v1::RunStatus status;
  std::map<int64_t, Numbers> rounds;  // those that have any
  std::vector<std::string> said;
  std::vector<double> model;
};

v1::RunConfig RunOf(const std::string& text) {
  auto config =
      LoadRunText(absl::StrCat("precision: FLOAT64 start { zeros {} } ", text),
                  testing::TempDir() + "/direction.textproto");
  EXPECT_OK(config);
  return *std::move(config);
}

absl::StatusOr<Measured> TryRun(const v1::RunConfig& config, int threads = 2,
                                const std::string& folder = "") {
  Measured measured;
  SimulatorOptions options;
  options.config = config;
  options.threads = threads;
  options.folder = folder;
  options.say = [&](LogLevel, const std::string& text) {
    measured.said.push_back(text);
  };
  options.on_round = [&](const RoundReport& report) {
    if (!report.direction.empty()) {
      measured.rounds[report.round] = report.direction;
    }
  };
  absl::StatusOr<SimulatorResult> result = Simulate(std::move(options));
  if (!result.ok()) return result.status();
  measured.status = result->status;
  const absl::Span<const double> w = result->model.As<double>();
  measured.model.assign(w.begin(), w.end());
  return measured;
}

Measured Good(const v1::RunConfig& config, int threads = 2,
              const std::string& folder = "") {
  auto measured = TryRun(config, threads, folder);
  EXPECT_OK(measured);
  if (!measured.ok()) return {};
  EXPECT_EQ(measured->status.state(), v1::FINISHED)
      << measured->status.detail();
  return *std::move(measured);
}

// Rows of a file: "label x1 x2 ...". Part i has row i.
std::string FileOf(const std::string& name,
                   const std::vector<std::vector<double>>& rows, int parts) {
  const std::string base = absl::StrCat(testing::TempDir(), "/", name);
  std::ofstream data(base + ".svm"), index(base + ".index");
  for (size_t n = 0; n < rows.size(); ++n) {
    data << rows[n][0];
    for (size_t j = 1; j < rows[n].size(); ++j) {
      if (rows[n][j] != 0) data << " " << j << ":" << rows[n][j];
    }
    data << "\n";
    index << n % parts << "\n";
  }
  return absl::StrCat(" data { train { libsvm { path: \"", base,
                      ".svm\" features: ", rows[0].size() - 1,
                      " dense: true } } partition { index_file { path: \"",
                      base, ".index\" } } } ");
}

constexpr char kLogistic[] = " model { logistic { bias: false } } ";
constexpr char kGap[] = " diagnostics { direction_gap {} } ";
constexpr char kSeparable[] =
    " data { train { separable { rows: 60 features: 100 margin: 0.5 } } "
    "partition { parts: 5 dirichlet { alpha: 0.3 } } } ";

std::string Steps(int steps, double eta) {
  return absl::StrCat(" local { gd { steps: ", steps,
                      " } step_size { initial: ", eta, " } } ");
}
std::string Rounds(int rounds) {
  return absl::StrCat(" stop { rounds: ", rounds, " } ");
}

TEST(DirectionGapTest, OneLocalStepIsCentralizedDescent) {
  for (const char* strategy : {"uniform {}", "fed_avg {}"}) {
    for (const char* loss : {"LOGISTIC", "EXPONENTIAL"}) {
      const Measured run = Good(RunOf(absl::StrCat(
          " model { logistic { loss: ", loss, " bias: false } } aggregation { ",
          strategy, " }", kSeparable, Steps(1, 0.5), Rounds(300), kGap)));
      ASSERT_FALSE(run.rounds.empty());
      for (const auto& [round, numbers] : run.rounds) {
        EXPECT_LT(numbers.at("centralized_steps_distance"), 1e-12)
            << strategy << " " << loss << " round " << round;
        EXPECT_LT(numbers.at("centralized_rounds_gap"), 1e-12);
        EXPECT_NEAR(numbers.at("gap"),
                    numbers.at("centralized_steps_reference_gap"), 1e-12);
      }
    }
  }
}

TEST(DirectionGapTest, StepsThatTheLossDividesAreTakenCentrallyToo) {
  const auto run = [](int steps) {
    return Good(RunOf(
        absl::StrCat(kLogistic, kSeparable,
                     " aggregation { uniform {} } local { gd { steps: ", steps,
                     " } step_size { initial: 0.01 loss_normalised {} } } ",
                     Rounds(300), kGap)));
  };
  const Measured one = run(1);
  for (const auto& [round, numbers] : one.rounds) {
    EXPECT_LT(numbers.at("centralized_steps_distance"), 1e-11) << round;
  }
  // A constant step would bring the loss to about 1/(γ²·η·k) = e^0.3.
  EXPECT_LT(one.rounds.at(300).at("log_loss"), -3);
  const Numbers last = run(10).rounds.at(300);
  EXPECT_LT(last.at("centralized_steps_gap"), last.at("gap") / 5);
}

TEST(DirectionGapTest, ManyLocalStepsFollowTheSameStepsAndAreMeasured) {
  const v1::RunConfig config =
      RunOf(absl::StrCat(kLogistic, kSeparable, " aggregation { uniform {} } ",
                         Steps(20, 0.05), Rounds(205), kGap));
  const Measured run = Good(config);
  // Every round at first, the powers of ten, and the last.
  for (const int64_t round : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100, 205}) {
    EXPECT_TRUE(run.rounds.contains(round)) << round;
  }
  EXPECT_LT(run.rounds.size(), 60u);
  const Numbers& last = run.rounds.at(205);
  // Near to centralized descent with as many steps long before to the SVM.
  EXPECT_LT(last.at("centralized_steps_gap"), last.at("gap") / 5);
  EXPECT_LT(last.at("gap"), run.rounds.at(10).at("gap"));
  // More steps a round are further than one a round.
  EXPECT_LT(last.at("centralized_steps_reference_gap"),
            last.at("centralized_rounds_reference_gap"));
  EXPECT_NEAR(last.at("norm"), Norm(run.model), 1e-12);
  EXPECT_GT(last.at("margin_share"), 0);
  EXPECT_LE(last.at("margin_share"), 1);
  // The margin of the set is that of its maker, or a little more.
  EXPECT_GE(last.at("margin") / last.at("margin_share"), 0.5 - 1e-9);
  EXPECT_GT(last.at("drift"), 0);
  EXPECT_LE(last.at("client_gap_min"), last.at("client_gap_median"));
  EXPECT_LE(last.at("client_gap_median"), last.at("client_gap_max"));
  EXPECT_FALSE(last.contains("distance"));
  EXPECT_THAT(run.said, testing::Contains(HasSubstr("separable with margin")));

  // What the clients train on is what is measured.
  ASSERT_OK_AND_ASSIGN(const auto parts, LoadAllParts<double>(config));
  double loss = 0;
  for (int64_t part = 0; part < parts.parts(); ++part) {
    const Batch<double> rows = parts.train(part).All();
    for (int64_t n = 0; n < rows.rows; ++n) {
      double m = 0;
      for (int64_t j = 0; j < rows.features; ++j) {
        m += rows.dense[n * rows.features + j] * run.model[j];
      }
      loss += std::log1p(std::exp(-rows.target[n] * m)) /
              static_cast<double>(rows.rows * parts.parts());
    }
  }
  EXPECT_NEAR(last.at("log_loss"), std::log(loss), 1e-10);
}

TEST(DirectionGapTest, DriftAndClientGapsAreThoseOfTheUpdates) {
  // Two clients of a row each, (2, 0) and (0, 1); exponential loss, η = 1, one
  // step from 0: Δ = (2, 0) and (0, 1). Uniform: mean (1, ½), deviations
  // (±1, ∓½), drift √1.25. The SVM of both rows is at (½, 1).
  const std::string data =
      FileOf("drift", {{1, 2, 0}, {1, 0, 1}, {-1, -2, 0}, {-1, 0, -1}}, 2);
  const std::string run =
      absl::StrCat(" model { logistic { loss: EXPONENTIAL bias: false } } ",
                   data, Steps(1, 1), Rounds(1), kGap);
  const Numbers numbers =
      Good(RunOf(run + " aggregation { uniform {} } ")).rounds.at(1);
  EXPECT_NEAR(numbers.at("drift"), std::sqrt(1.25), 1e-12);
  EXPECT_NEAR(numbers.at("drift_share"), 1, 1e-12);
  const std::vector<double> svm = {0.5, 1};
  const double gap_a = DirectionGap({2, 0}, svm),
               gap_b = DirectionGap({0, 1}, svm);
  EXPECT_NEAR(numbers.at("client_gap_min"), gap_b, 1e-7);
  EXPECT_NEAR(numbers.at("client_gap_max"), gap_a, 1e-7);
  EXPECT_NEAR(numbers.at("client_gap_median"), (gap_a + gap_b) / 2, 1e-7);
  EXPECT_NEAR(numbers.at("gap"), DirectionGap({1, 0.5}, svm), 1e-7);
  EXPECT_NEAR(numbers.at("margin_share"),
              0.5 / std::sqrt(1.25) * std::sqrt(1.25), 1e-7);
}

TEST(DirectionGapTest, ResultsDoNotDependOnThreads) {
  const v1::RunConfig config = RunOf(
      absl::StrCat(kLogistic, kSeparable, Steps(7, 0.1), Rounds(30), kGap));
  const Measured one = Good(config, 1), four = Good(config, 4);
  EXPECT_EQ(one.rounds, four.rounds);
  EXPECT_EQ(one.said, four.said);
}

TEST(DirectionGapTest, MeasuringChangesNothing) {
  v1::RunConfig config = RunOf(
      absl::StrCat(kLogistic, kSeparable, Steps(7, 0.1), Rounds(12), kGap));
  const Measured with = Good(config);
  config.clear_diagnostics();
  EXPECT_EQ(Good(config).model, with.model);
}

TEST(DirectionGapTest, BatchesHaveACentralizedCounterpart) {
  const Measured run = Good(RunOf(absl::StrCat(
      kLogistic, kSeparable,
      " local { sgd { batch_size: 3 steps: 10 } step_size { initial: 0.1 } } ",
      Rounds(100), " diagnostics { direction_gap { centralized: true } } ")));
  const Numbers& last = run.rounds.at(100);
  EXPECT_LT(last.at("centralized_steps_gap"), 0.3);
  EXPECT_GT(last.at("centralized_steps_gap"), 1e-6);
}

TEST(DirectionGapTest, OfNoiseTheReferenceIsTheMinimum) {
  const Measured run = Good(RunOf(absl::StrCat(
      kLogistic,
      " data { train { mixture { rows: 200 features: 3 separation: 0.5 } } "
      "partition { parts: 4 } } aggregation { uniform {} } ",
      Steps(1, 2), Rounds(500), kGap)));
  const Numbers& last = run.rounds.at(500);
  EXPECT_LT(last.at("distance"), 1e-9);  // L = 1 is exact
  EXPECT_LT(last.at("gap"), 1e-9);
  EXPECT_FALSE(last.contains("margin"));
  EXPECT_FALSE(last.contains("margin_share"));
  EXPECT_THAT(run.said, testing::Contains(HasSubstr("not separable")));
}

TEST(DirectionGapTest, NoReferenceIsSaidAndNeverMadeUp) {
  // Of rows that are not separable only the logistic minimum is known.
  const Measured run = Good(RunOf(absl::StrCat(
      " model { logistic { loss: EXPONENTIAL bias: false } } ",
      " data { train { mixture { rows: 100 features: 3 separation: 0.5 } } "
      "partition { parts: 4 } } ",
      Steps(2, 0.1), Rounds(3), kGap)));
  for (const auto& [round, numbers] : run.rounds) {
    for (const char* left_out :
         {"gap", "distance", "margin", "margin_share", "client_gap_min",
          "centralized_steps_reference_gap"}) {
      EXPECT_FALSE(numbers.contains(left_out)) << left_out;
    }
    EXPECT_TRUE(numbers.contains("centralized_steps_gap"));
    EXPECT_TRUE(numbers.contains("log_loss"));
    EXPECT_TRUE(numbers.contains("drift"));
  }
  EXPECT_THAT(run.said, testing::Contains(HasSubstr("There is no reference")));
}

TEST(DirectionGapTest, DegenerateDataGivesAResultOrAReason) {
  const std::string rest =
      absl::StrCat(kLogistic, Steps(3, 0.1), Rounds(5), kGap);
  struct Case {
    std::string name;
    std::vector<std::vector<double>> rows;
    int parts;
    std::string verdict;
    bool has_gap;
  };
  const std::vector<Case> cases = {
      {"two_rows", {{1, 1, 2}, {-1, -1, 1}}, 1, "separable with", true},
      {"a_class_each", {{1, 1, 2}, {-1, -1, 1}}, 2, "separable with", true},
      {"zero_column",
       {{1, 1, 0, 2}, {-1, -1, 0, 1}},
       2,
       "separable with",
       true},
      {"zero_row",
       {{1, 0, 0}, {-1, -1, 1}, {1, 1, 1}, {-1, -2, 1}},
       2,
       "not separable",
       false},
      {"duplicates",
       {{1, 1, 2}, {1, 1, 2}, {-1, -1, 1}, {-1, -1, 1}},
       2,
       "separable with",
       true},
      // Falls for ever along (2, -1).
      {"contradiction",
       {{1, 1, 2}, {-1, 1, 2}, {1, 2, 1}, {-1, -1, 1}},
       2,
       "not separable",
       false},
      {"all_contradicted",
       {{1, 1, 2}, {-1, 1, 2}, {1, 2, 1}, {-1, 2, 1}},
       2,
       "is least at 0",
       false},
      {"not_separable",
       {{1, 1, 2}, {-1, 1, 2}, {1, 2, 1}, {-1, 2, 1}, {1, 2, 1}},
       2,
       "direction of the minimum",
       true},
  };
  for (const Case& c : cases) {
    const Measured run = Good(RunOf(FileOf(c.name, c.rows, c.parts) + rest));
    EXPECT_THAT(run.said, testing::Contains(HasSubstr(c.verdict))) << c.name;
    ASSERT_TRUE(run.rounds.contains(5)) << c.name;
    EXPECT_EQ(run.rounds.at(5).contains("gap"), c.has_gap) << c.name;
    if (!c.has_gap) continue;  // w may be 0, which has no direction
    for (const auto& [key, value] : run.rounds.at(5)) {
      EXPECT_TRUE(std::isfinite(value)) << c.name << " " << key;
    }
  }
  // One class, and one row: what the loader makes of it is a clear message.
  for (const auto& rows : std::vector<std::vector<std::vector<double>>>{
           {{1, 1, 2}, {1, 2, 1}}, {{1, 1, 2}}}) {
    const auto run = TryRun(RunOf(FileOf("one_class", rows, 1) + rest));
    if (run.ok()) {
      EXPECT_EQ(run->rounds.at(5).contains("gap"), true);
    } else {
      EXPECT_THAT(run.status().message(), HasSubstr("label"));
    }
  }
}

TEST(DirectionGapTest, FactsStandInTheRunsFolder) {
  const std::string folder = testing::TempDir() + "/direction_facts";
  std::filesystem::remove_all(folder);
  Good(RunOf(
           absl::StrCat(kLogistic, kSeparable, Steps(4, 0.1), Rounds(2), kGap)),
       2, folder);
  ASSERT_OK_AND_ASSIGN(const DirectionFacts facts,
                       ReadDirection(folder + "/direction.json"));
  EXPECT_EQ(facts.rows, 60);
  EXPECT_EQ(facts.features, 100);
  EXPECT_EQ(facts.clients, 5);
  EXPECT_FALSE(facts.clients_alike);
  EXPECT_EQ(facts.reference, "max-margin");
  EXPECT_GE(*facts.margin, 0.5 - 1e-9);
  EXPECT_GE(*facts.margin / facts.margin_bound, 1 - 1e-12);
  EXPECT_GT(*facts.heterogeneity_mean, 0);
  EXPECT_LE(*facts.heterogeneity_mean, *facts.heterogeneity_max);
  EXPECT_EQ(facts.clients_separable, 5);
  EXPECT_TRUE(facts.centralized);
  EXPECT_EQ(facts.local_steps, 4);
}

TEST(DirectionGapTest, ASpreadIsOfTheClientsThatHaveADirection) {
  const std::string folder = testing::TempDir() + "/direction_spread";
  std::filesystem::remove_all(folder);
  const std::string data = FileOf(
      "spread", {{1, 1, 0, 0}, {1, 0, 0, 3}, {-1, -1, 0, 0}, {1, 0, 0, 3}}, 2);
  Good(RunOf(absl::StrCat(kLogistic, data, Steps(1, 0.1), Rounds(1), kGap)), 2,
       folder);
  ASSERT_OK_AND_ASSIGN(const DirectionFacts facts,
                       ReadDirection(folder + "/direction.json"));
  // Each client's direction is its rows'; the SVM of all is (1, 0, 1/3).
  const std::vector<double> svm = {3, 0, 1};
  const double a = DirectionGap({1, 0, 0}, svm),
               b = DirectionGap({0, 0, 1}, svm);
  EXPECT_NEAR(*facts.heterogeneity_mean, (a + b) / 2, 1e-6);
  EXPECT_NEAR(*facts.heterogeneity_max, b, 1e-6);
  EXPECT_EQ(facts.clients_separable, 2);
  EXPECT_EQ(facts.clients_not_separable, 0);
}

}  // namespace
}  // namespace parley
