#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/config/load.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/config/run_errors.h"

namespace parley {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kMeasured[] = R"(
model { logistic { bias: false } }
data { train { separable { rows: 40 features: 3 } } partition { parts: 4 } }
local { gd { steps: 5 } step_size { initial: 0.1 } }
precision: FLOAT64
stop { rounds: 3 }
diagnostics { direction_gap {} }
)";

std::string ErrorsSetting(std::vector<std::string> sets) {
  return ErrorsOf(kMeasured, std::move(sets));
}

bool Centralized(const std::string& set) {
  const auto config = LoadRunText(kMeasured, "x.textproto", {set});
  EXPECT_OK(config);
  return config->diagnostics().direction_gap().centralized();
}

TEST(DiagnosticsRulesTest, DefaultsAreFilledIn) {
  ASSERT_OK_AND_ASSIGN(const v1::RunConfig config,
                       LoadRunText(kMeasured, "x.textproto"));
  EXPECT_EQ(config.diagnostics().direction_gap().per_decade(), 20);
  EXPECT_TRUE(config.diagnostics().direction_gap().centralized());
  EXPECT_FALSE(Centralized("local.momentum=0.9"));
  EXPECT_FALSE(Centralized("local.weight_decay=0.1"));
  EXPECT_TRUE(Centralized("local.proximal=0.1"));
  EXPECT_FALSE(Centralized("local.sgd.steps=3"));
  // Nobody asked for it.
  ASSERT_OK_AND_ASSIGN(const v1::RunConfig without,
                       LoadRunText(kGood, "x.textproto"));
  EXPECT_FALSE(without.has_diagnostics());
}

TEST(DiagnosticsRulesTest, SaysWhyItIsRefusedAndWhatToDo) {
  EXPECT_EQ(ErrorsSetting({}), "");
  EXPECT_THAT(ErrorsSetting({"model.logistic.bias=true"}),
              HasSubstr("diagnostics.direction_gap must go with model { "
                        "logistic { bias: false } }"));
  EXPECT_THAT(ErrorsSetting({"precision=FLOAT32"}),
              HasSubstr("diagnostics.direction_gap must go with precision: "
                        "FLOAT64"));
  EXPECT_THAT(ErrorsAdding("diagnostics { direction_gap {} }"),
              HasSubstr("must go with model { logistic"));
  // Clients with data of their own.
  EXPECT_THAT(
      ErrorsOf(R"(model { logistic { bias: false } features: 30 }
                  local { gd {} step_size { initial: 0.1 } }
                  cohort { min: 2 } stop { rounds: 2 } precision: FLOAT64
                  diagnostics { direction_gap {} })"),
      HasSubstr("no data leaves a client for a diagnostic. Use a run with "
                "local.gd.steps 1"));
  EXPECT_THAT(ErrorsOf(R"(model { custom { name: "x" spec { dtype: FLOAT64
                    tensors { name: "w" shape: 3 } } } }
                  cohort { min: 2 } stop { rounds: 2 } precision: FLOAT64
                  diagnostics { direction_gap {} })"),
              HasSubstr("must go with model { logistic"));
  EXPECT_THAT(ErrorsOf(std::string(kMeasured) + "gossip {}"),
              HasSubstr("direction_gap must not be set with gossip"));
  EXPECT_THAT(ErrorsSetting({"diagnostics.direction_gap.per_decade=0"}),
              HasSubstr("per_decade is 0: must be >= 1 and <= 10000"));
}

TEST(DiagnosticsRulesTest, CentralizedStepsNeedStepsToTake) {
  const std::string on = "diagnostics.direction_gap.centralized=true";
  EXPECT_EQ(ErrorsSetting({on, "local.sgd.steps=3"}), "");
  EXPECT_THAT(ErrorsSetting({on, "local.sgd.epochs=1"}),
              HasSubstr("direction_gap.centralized is true: needs the same "
                        "number of steps on every client"));
  EXPECT_THAT(ErrorsSetting({on, "local.momentum=0.5"}),
              HasSubstr("must be false with momentum"));
  EXPECT_THAT(ErrorsOf(R"(
model { logistic { loss: EXPONENTIAL bias: false } }
data { train { separable { rows: 40 features: 3 } } }
local { exact_prox {} }
precision: FLOAT64
stop { rounds: 3 }
diagnostics { direction_gap { centralized: true } }
)"),
              HasSubstr("must be false with local.exact_prox"));
}

}  // namespace
}  // namespace parley
