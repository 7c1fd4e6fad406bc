#include "tools/study/cells.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "common/config/config_errors.h"
#include "common/config/load.h"
#include "common/config/ranges.h"
#include "tests/support/status_matchers.h"
#include "tools/study/study_file.h"

namespace parley {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr char kRun[] =
    "run { data { train { separable { rows: 20 features: 5 } } } "
    "stop { rounds: 10 } }\n";

Study Load(const std::string& sweep, std::vector<std::string> sets = {}) {
  auto study = LoadStudyText(
      absl::StrCat(kRun, "implicit_bias { ", sweep, " }"), "x.textproto", sets);
  EXPECT_OK(study);
  return *std::move(study);
}

std::vector<std::string> NamesOf(const Study& study) {
  std::vector<std::string> names;
  for (const Cell& cell : study.cells.cells) names.push_back(cell.name);
  return names;
}

const v1::RunConfig& CellOf(const Study& study, const std::string& name) {
  for (const Cell& cell : study.cells.cells) {
    if (cell.name == name) return cell.config;
  }
  ADD_FAILURE() << "no cell " << name;
  return study.cells.cells[0].config;
}

TEST(StudyCellsTest, EverythingThatDiffersIsACellWithANameOfItsOwn) {
  const Study study = Load(
      "algorithm { local_gd {} } algorithm { ppm {} } local_steps: [1, 8] "
      "step_size { fixed: 0.1 } step_size { over_steps: 2 } "
      "partition { partition { parts: 2 dirichlet { alpha: 0.3 } } } "
      "partition { label: 'even' partition { parts: 2 } } seed: [3, 4]");
  std::vector<std::string> expected;
  for (const char* const seed : {"-seed3", "-seed4"}) {
    for (const char* const split : {"-dirichlet0.3", "-even"}) {
      for (const char* const name :
           {"local_gd-L1-fixed0.1", "local_gd-L1-fixed2",
            "local_gd-L8-fixed0.1", "local_gd-L8-over_steps2",
            "ppm-lnlambda-100"}) {
        expected.push_back(absl::StrCat(name, split, seed));
      }
    }
  }
  EXPECT_THAT(NamesOf(study), ::testing::UnorderedElementsAreArray(expected));
  const v1::RunConfig& config =
      CellOf(study, "local_gd-L8-over_steps2-even-seed4");
  EXPECT_EQ(config.seed(), 4);
  EXPECT_EQ(config.local().gd().steps(), 8);
  EXPECT_EQ(config.local().step_size().initial(), 2);
  EXPECT_TRUE(config.local().step_size().has_over_steps());
  EXPECT_TRUE(config.data().partition().has_iid());
  EXPECT_EQ(config.data().partition().parts(), 2);
}

TEST(StudyCellsTest, CellsThatDoNotDifferAreOne) {
  // With one local step c/L is c.
  const Study study = Load(
      "algorithm { local_gd {} } local_steps: [1, 4] "
      "step_size { fixed: 0.5 } step_size { over_steps: 0.5 }");
  EXPECT_THAT(
      NamesOf(study),
      UnorderedElementsAre("local_gd-L1-fixed0.5", "local_gd-L4-fixed0.5",
                           "local_gd-L4-over_steps0.5"));
  ASSERT_EQ(study.cells.points.size(), 4);
  EXPECT_EQ(study.cells.points[0].cell, study.cells.points[1].cell);
  EXPECT_EQ(study.cells.points[1].rule, "over_steps0.5");
}

TEST(StudyCellsTest, EachAlgorithmIsTheRunThatItNames) {
  const Study study = Load(
      "algorithm { local_sgd { batch_size: 4 } } "
      "algorithm { modified_local_gd { log_lambda: [-50, -10] power: 0.5 } } "
      "algorithm { loss_normalised { step_size: 0.25 } } "
      "algorithm { one_shot {} } algorithm { fed_prox { mu: 0.1 } rounds: 3 } "
      "local_steps: 2 step_size { fixed: 1 }");
  const v1::RunConfig& sgd = CellOf(study, "local_sgd-batch4-L2-fixed1");
  EXPECT_EQ(sgd.local().sgd().batch_size(), 4);
  EXPECT_EQ(sgd.local().sgd().steps(), 2);
  const v1::RunConfig& modified =
      CellOf(study, "modified_local_gd-power0.5-lnlambda-50");
  EXPECT_EQ(modified.local().exact_prox().log_lambda(), -50);
  EXPECT_FALSE(modified.local().has_step_size());
  EXPECT_EQ(modified.aggregation().anchored().power(), 0.5);
  EXPECT_TRUE(modified.aggregation().has_uniform());
  EXPECT_EQ(modified.model().logistic().loss(), v1::Logistic::EXPONENTIAL);
  EXPECT_EQ(CellOf(study, "modified_local_gd-power0.5-lnlambda-10")
                .local()
                .exact_prox()
                .log_lambda(),
            -10);
  const v1::RunConfig& normalised = CellOf(study, "loss_normalised0.25-L2");
  EXPECT_TRUE(normalised.local().step_size().has_loss_normalised());
  EXPECT_EQ(normalised.local().step_size().initial(), 0.25);
  EXPECT_EQ(CellOf(study, "one_shot-lnlambda-1000").stop().rounds(), 1);
  const v1::RunConfig& prox = CellOf(study, "fed_prox0.1-L2-fixed1");
  EXPECT_EQ(prox.local().proximal(), 0.1);
  EXPECT_EQ(prox.stop().rounds(), 3);
}

TEST(StudyCellsTest, DefaultsAreThoseOfTheProtoAndMayBeChanged) {
  const char* const sweep = "algorithm { local_gd {} } step_size { fixed: 1 }";
  const v1::RunConfig config = Load(sweep).cells.cells[0].config;
  EXPECT_TRUE(config.model().has_logistic());
  EXPECT_FALSE(config.model().logistic().bias());
  EXPECT_EQ(config.precision(), v1::FLOAT64);
  EXPECT_TRUE(config.aggregation().has_uniform());
  EXPECT_TRUE(config.start().has_zeros());
  EXPECT_EQ(config.evaluation().every(), 0);
  EXPECT_EQ(config.checkpoints().every(), 0);
  EXPECT_EQ(config.cohort().too_few(), v1::Cohort::FAIL);
  EXPECT_TRUE(config.diagnostics().has_direction_gap());
  EXPECT_EQ(config.local().gd().steps(), 1);
  const v1::RunConfig changed =
      Load(sweep, {"run.aggregation={fed_avg {}}", "run.checkpoints.every=7",
                   "run.start.random={}"})
          .cells.cells[0]
          .config;
  EXPECT_TRUE(changed.aggregation().has_fed_avg());
  EXPECT_EQ(changed.checkpoints().every(), 7);
  EXPECT_TRUE(changed.start().has_random());
}

TEST(StudyCellsTest, ACellAndAStudyReadBackAsTheyWere) {
  const Study study = Load(
      "algorithm { local_gd {} } step_size { fixed: 0.1 } local_steps: [1, 2]");
  for (const Cell& cell : study.cells.cells) {
    ASSERT_OK_AND_ASSIGN(const v1::RunConfig again,
                         LoadRunText(PrintRun(cell.config), "y.textproto"));
    EXPECT_EQ(PrintRun(again), PrintRun(cell.config));
  }
  ASSERT_OK_AND_ASSIGN(const Study again,
                       LoadStudyText(PrintStudy(study.config), "y.textproto"));
  EXPECT_EQ(PrintStudy(again.config), PrintStudy(study.config));
  EXPECT_EQ(NamesOf(again), NamesOf(study));
}

TEST(StudyCellsTest, ReportsAllErrorsAtOnce) {
  constexpr char kText[] = R"(run {
  data { train { separable { rows: 20 features: 5 } } }
  stop { rounds: 0 }
  local { gd {} }
}
implicit_bias {
  algorithm { local_gd {} }
  algorithm { fed_prox {} }
  algorithm { rounds: 0 }
  algorithm { modified_local_gd { log_lambda: 1 } }
  local_steps: [4, 0]
  partition { partition { parts: 2 dirichlet { alpha: 0 } } }
  partition { label: "a b" partition { parts: 2 } }
  step_size { fixed: -1 }
}
)";
  const auto study = LoadStudyText(kText, "s.textproto", {"run.seed=x"});
  EXPECT_EQ(study.status().code(), absl::StatusCode::kInvalidArgument);
  const std::string errors(study.status().message());
  for (const char* const line : {
           "s.textproto:3: run.stop.rounds is 0: must be >= 1",
           "s.textproto:4: run.local must not be set",
           "s.textproto:8: implicit_bias.algorithm[1].fed_prox.mu is missing",
           "s.textproto:9: implicit_bias.algorithm[2].rounds is 0: must be",
           "s.textproto:9: implicit_bias.algorithm[2] is missing: must have "
           "one of local_gd",
           "s.textproto:10: implicit_bias.algorithm[3].modified_local_gd."
           "log_lambda[0] is 1: must be >= -1000000000000 and < 0",
           "s.textproto:11: implicit_bias.local_steps[1] is 0: must be >= 1",
           "s.textproto:12: implicit_bias.partition[0].partition.dirichlet."
           "alpha is 0: must be >= 1e-06",
           "s.textproto:13: implicit_bias.partition[1].label is \"a b\"",
           "s.textproto:14: implicit_bias.step_size[0].fixed is -1: must be",
           "--set run.seed=x: run.seed takes",
       }) {
    EXPECT_THAT(errors, HasSubstr(line));
  }
  EXPECT_THAT(LoadStudyText("stepsize: 1", "s.textproto").status().message(),
              HasSubstr("s.textproto:1: StudyConfig has no field stepsize"));
  EXPECT_THAT(LoadStudyText("", "s.textproto").status().message(),
              HasSubstr("implicit_bias is missing"));
  EXPECT_THAT(LoadStudyText("run { stop { rounds: 0 } }", "s.textproto")
                  .status()
                  .message(),
              HasSubstr("s.textproto:1: run.stop.rounds is 0"));
}

// All numbers that a sweep has of its own.
void CheckRangesOf(const google::protobuf::Descriptor& message) {
  using google::protobuf::FieldDescriptor;
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (field.message_type()->file() == message.file()) {
        CheckRangesOf(*field.message_type());
      }
    } else if (field.cpp_type() != FieldDescriptor::CPPTYPE_STRING) {
      EXPECT_NE(FindRange(field), nullptr) << field.full_name();
    }
  }
}

TEST(StudyCellsTest, EveryNumberHasARange) {
  CheckRangesOf(*v1::ImplicitBias::descriptor());
}

TEST(StudyCellsTest, TheExamplesLoad) {
  for (const char* const name : {"implicit_bias", "implicit_bias_plane"}) {
    const auto study =
        LoadStudyFile(absl::StrCat(PARLEY_EXAMPLES, "/", name, ".textproto"));
    ASSERT_OK(study);
    EXPECT_EQ(study->config.name(), name);
    EXPECT_GT(study->cells.cells.size(), 5);
  }
}

TEST(StudyCellsTest, DamagedTextsNeverCrash) {
  const std::string path =
      absl::StrCat(PARLEY_EXAMPLES, "/implicit_bias.textproto");
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadConfigFile(path));
  int refused = 0;
  for (int trial = 0; trial < 300; ++trial) {
    Rng rng(1, path, trial, "damage");
    std::string damaged = text;
    for (uint64_t n = 1 + rng.Below(5); n > 0; --n) {
      const size_t at = rng.Below(damaged.size());
      if (rng.Below(2) == 0) {
        damaged[at] = "{}[]:,#'-.019az\n"[rng.Below(16)];
      } else {
        damaged.erase(at, rng.Below(20));
      }
    }
    const auto study = LoadStudyText(damaged, path);
    if (study.ok()) continue;
    ++refused;
    EXPECT_EQ(study.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(study.status().message(), "");
  }
  EXPECT_GT(refused, 0);
}

TEST(StudyCellsTest, WhatTheRunCannotDoIsSaidOfTheCellThatWouldDoIt) {
  const auto study = LoadStudyText(
      absl::StrCat(kRun, "implicit_bias { algorithm { ppm {} } }"),
      "s.textproto", {"run.precision=FLOAT32"});
  EXPECT_THAT(study.status().message(),
              HasSubstr("implicit_bias.algorithm[0] makes a cell "
                        "ppm-lnlambda-100 whose local.exact_prox must go with "
                        "precision FLOAT64"));
  EXPECT_THAT(
      LoadStudyText(absl::StrCat(kRun,
                                 "implicit_bias { algorithm { ppm {} } "
                                 "algorithm { ppm { log_lambda: -100 } } }"),
                    "s.textproto")
          .status()
          .message(),
      HasSubstr("stands for ppm-lnlambda-100 twice"));
}

}  // namespace
}  // namespace parley
