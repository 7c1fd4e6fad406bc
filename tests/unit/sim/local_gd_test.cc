// Local-GD (arXiv 2412.07971) in whole federated runs, against what is written
// out here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "common/analysis/direction.h"
#include "common/analysis/margin_descent.h"
#include "tests/unit/sim/runs.h"

namespace parley {
namespace {

double SlopeAt(double margin, bool logistic) {
  return logistic ? -1 / (1 + std::exp(margin)) : -std::exp(-margin);
}

// The gradient of f_i, the mean loss of one client's dense rows.
std::vector<double> GradientAt(const std::vector<double>& w,
                               const Batch<double>& rows, bool logistic) {
  std::vector<double> gradient(w.size());
  for (int64_t n = 0; n < rows.rows; ++n) {
    const double* const x = rows.dense + n * rows.features;
    double margin = 0;
    for (size_t j = 0; j < w.size(); ++j)
      margin += rows.target[n] * x[j] * w[j];
    const double slope = SlopeAt(margin, logistic);
    for (size_t j = 0; j < w.size(); ++j) {
      gradient[j] +=
          slope * rows.target[n] * x[j] / static_cast<double>(rows.rows);
    }
  }
  return gradient;
}

// What each client's loss and model count in the mean.
std::vector<double> Weights(const std::vector<Dataset<double>>& parts,
                            bool uniform) {
  std::vector<double> weights;
  for (const Dataset<double>& part : parts) {
    weights.push_back(uniform ? 1 : static_cast<double>(part.rows()));
  }
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight /= sum;
  return weights;
}

// One model on all rows.
std::vector<double> CentralizedGd(const std::vector<Dataset<double>>& parts,
                                  const std::vector<double>& weights,
                                  bool logistic, double eta, int steps) {
  std::vector<double> w(parts[0].features());
  for (int step = 0; step < steps; ++step) {
    std::vector<double> gradient(w.size());
    for (size_t i = 0; i < parts.size(); ++i) {
      const auto own = GradientAt(w, parts[i].All(), logistic);
      for (size_t j = 0; j < w.size(); ++j) gradient[j] += weights[i] * own[j];
    }
    for (size_t j = 0; j < w.size(); ++j) w[j] -= eta * gradient[j];
  }
  return w;
}

std::vector<double> LocalGd(const std::vector<Dataset<double>>& parts,
                            const std::vector<double>& weights, bool logistic,
                            double eta, int local_steps, int rounds) {
  std::vector<double> w(parts[0].features());
  for (int round = 0; round < rounds; ++round) {
    std::vector<double> mean(w.size());
    for (size_t i = 0; i < parts.size(); ++i) {
      std::vector<double> own = w;
      for (int step = 0; step < local_steps; ++step) {
        const auto gradient = GradientAt(own, parts[i].All(), logistic);
        for (size_t j = 0; j < w.size(); ++j) own[j] -= eta * gradient[j];
      }
      for (size_t j = 0; j < w.size(); ++j) mean[j] += weights[i] * own[j];
    }
    w = mean;
  }
  return w;
}

double RelativeError(const std::vector<double>& got,
                     const std::vector<double>& want) {
  std::vector<double> error(want.size());
  for (size_t j = 0; j < want.size(); ++j) error[j] = got[j] - want[j];
  return Norm(error) / Norm(want);
}

struct Data {
  const char* text;
  bool in_span;  // whether the clients step in the span of their rows
};
constexpr Data kFewAndManyRows[] = {
    {kSeparable, true},
    {"train { mixture { rows: 60 features: 3 separation: 1 } } "
     "partition { parts: 4 dirichlet { alpha: 0.3 min_rows: 5 } }",
     false}};

void ExpectSpan(const std::vector<Dataset<double>>& parts, bool in_span) {
  for (const Dataset<double>& part : parts) {
    EXPECT_EQ(SpanIsCheaper(*SignedRows::Create(part)), in_span);
  }
}

TEST(LocalGdTest, WithOneLocalStepItIsCentralizedDescent) {
  for (const Data& data : kFewAndManyRows) {
    for (const char* loss : {"LOGISTIC", "EXPONENTIAL"}) {
      std::vector<std::vector<double>> results;
      for (const bool uniform : {true, false}) {
        const v1::RunConfig config =
            RunOf(loss, data.text, "gd {} step_size { initial: 0.1 }",
                  uniform ? "uniform {}" : "fed_avg {}", 200);
        const auto parts = PartsOf(config);
        ExpectSpan(parts, data.in_span);
        results.push_back(ModelOf(config));
        EXPECT_LT(RelativeError(results.back(),
                                CentralizedGd(parts, Weights(parts, uniform),
                                              loss[0] == 'L', 0.1, 200)),
                  1e-12)
            << loss << " " << uniform << " " << data.text;
      }
      EXPECT_GT(RelativeError(results[0], results[1]), 1e-3);
    }
  }
}

TEST(LocalGdTest, WithMoreLocalStepsItIsLocalDescentWrittenOut) {
  for (const Data& data : kFewAndManyRows) {
    for (const bool uniform : {true, false}) {
      const v1::RunConfig config =
          RunOf("LOGISTIC", data.text,
                "gd { steps: 8 } step_size { initial: 0.5 over_steps {} }",
                uniform ? "uniform {}" : "fed_avg {}", 100);
      const auto parts = PartsOf(config);
      ExpectSpan(parts, data.in_span);
      EXPECT_LT(
          RelativeError(ModelOf(config), LocalGd(parts, Weights(parts, uniform),
                                                 true, 0.5 / 8, 8, 100)),
          1e-12)
          << uniform << " " << data.text;
    }
  }
}

constexpr char kWideMargin[] =
    "train { separable { rows: 24 features: 8 margin: 4 } } "
    "partition { parts: 4 dirichlet { alpha: 0.3 } }";

// Each client divides by the loss that it has itself.
std::vector<double> NormalisedByOwnLoss(const v1::RunConfig& config, double eta,
                                        int local_steps, int rounds) {
  std::vector<SignedRows> parts;
  std::vector<MarginDescent> descents;
  for (const Dataset<double>& part : PartsOf(config)) {
    parts.push_back(*SignedRows::Create(part));
    descents.emplace_back(parts.back(), MarginLoss::kExponential, true);
  }
  std::vector<double> w(parts[0].features());
  for (int round = 0; round < rounds; ++round) {
    std::vector<double> mean(w.size());
    for (size_t i = 0; i < parts.size(); ++i) {
      const double n = static_cast<double>(parts[i].rows());
      const double log_loss =
          LogLoss(MarginLoss::kExponential, parts[i].Margins(w),
                  std::vector<double>(parts[i].rows(), 1 / n));
      std::vector<double> own = w;
      EXPECT_OK(descents[i].Run(std::log(eta / local_steps) - log_loss,
                                local_steps, absl::MakeSpan(own)));
      for (size_t j = 0; j < w.size(); ++j) {
        mean[j] += own[j] / static_cast<double>(parts.size());
      }
    }
    w = mean;
  }
  return w;
}

// A step in proportion to 1/f goes on where plain steps all but stop: the loss
// becomes e^−800 and less, which no double holds, and the direction follows.
TEST(LocalGdTest, NormalisedByTheLossItGoesOn) {
  constexpr int kRounds = 300;
  for (const char* loss : {"LOGISTIC", "EXPONENTIAL"}) {
    for (const char* aggregation : {"uniform {}", "fed_avg {}"}) {
      const auto with = [&](const char* schedule) {
        return RunOf(loss, kWideMargin,
                     absl::StrCat("gd { steps: 4 } step_size { initial: 3 ",
                                  schedule, " }"),
                     aggregation, kRounds);
      };
      const MaxMargin svm = SvmOf(with("over_steps {}"));
      std::vector<double> told;  // the clients' mean, round by round
      const std::vector<double> w =
          ModelOf(with("loss_normalised {}"), [&](const RoundReport& report) {
            told.push_back(report.metrics.at("log_loss"));
          });
      ASSERT_EQ(told.size(), kRounds);
      EXPECT_NEAR(told[0], *loss == 'L' ? std::log(std::log(2)) : 0, 1e-15);
      EXPECT_LT(told.back(), -800);
      const double gap = DirectionGap(w, svm.w);
      EXPECT_LT(gap, DirectionGap(ModelOf(with("over_steps {}")), svm.w) / 15)
          << loss << " " << aggregation;
    }
  }
}

// The clients with a large loss must pull harder than those with a small one.
TEST(LocalGdTest, NormalisedByEachClientsOwnLossItLeadsElsewhere) {
  constexpr int kRounds = 300, kSteps = 4;
  const v1::RunConfig config =
      RunOf("EXPONENTIAL", kWideMargin,
            absl::StrCat("gd { steps: ", kSteps,
                         " } step_size { initial: 3 loss_normalised {} }"),
            "uniform {}", kRounds);
  const std::vector<double> svm = SvmOf(config).w;
  const double own =
      DirectionGap(NormalisedByOwnLoss(config, 3, kSteps, kRounds), svm);
  EXPECT_GT(own, 15 * DirectionGap(ModelOf(config), svm));
}

// One round of exact local solves from zeros: the mean of the clients' own
// support vector machines, which is not that of all rows.
TEST(OneShotTest, AveragesTheClientsSupportVectorMachines) {
  constexpr double kLogLambda = -1e6;
  for (const bool uniform : {true, false}) {
    const v1::RunConfig config =
        RunOf("EXPONENTIAL", kSeparable,
              absl::StrCat("exact_prox { log_lambda: ", kLogLambda, " }"),
              uniform ? "uniform {}" : "fed_avg {}", 1);
    const auto parts = PartsOf(config);
    const std::vector<double> weights = Weights(parts, uniform);
    std::vector<double> mean(parts[0].features());
    for (size_t i = 0; i < parts.size(); ++i) {
      ASSERT_OK_AND_ASSIGN(const SignedRows rows, SignedRows::Create(parts[i]));
      ASSERT_OK_AND_ASSIGN(const MaxMargin svm, FindMaxMargin(rows));
      ASSERT_EQ(svm.verdict, Separability::kSeparable);
      for (size_t j = 0; j < mean.size(); ++j) mean[j] += weights[i] * svm.w[j];
    }
    std::vector<double> got = ModelOf(config);
    for (double& v : got) v /= -kLogLambda;
    // Margins are ln(1/λ) but for some ln ln(1/λ), about 1e-5 of it.
    EXPECT_LT(RelativeError(got, mean), 1e-4);
    EXPECT_GT(DirectionGap(got, SvmOf(config).w), 1e-2);
  }
}

}  // namespace
}  // namespace parley
