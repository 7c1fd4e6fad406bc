// Modified Local-GD (arXiv 2412.07971) in whole federated runs, against the
// support vector machine of all the data.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/analysis/direction.h"
#include "common/analysis/max_margin.h"
#include "common/config/build.h"
#include "common/config/load.h"
#include "tests/support/status_matchers.h"
#include "tools/sim/simulator.h"

namespace parley {
namespace {

// Fewer rows than features: separable, whatever they are. Four clients whose
// labels differ.
v1::RunConfig RunOf(const std::string& local, const std::string& aggregation,
                    int rounds, uint64_t seed) {
  auto config = LoadRunText(
      absl::StrCat(R"(
        model { logistic { loss: EXPONENTIAL bias: false } }
        data {
          train { mixture { rows: 30 features: 40 separation: 1 } }
          partition { parts: 4 dirichlet { alpha: 0.3 } }
        }
        precision: FLOAT64
        start { zeros {} })",
                   " local { ", local, " } aggregation { ", aggregation,
                   " } stop { rounds: ", rounds, " } seed: ", seed),
      "study.textproto");
  EXPECT_OK(config);
  return *std::move(config);
}

// From the direction of the support vector machine of all clients' rows.
double GapOf(const v1::RunConfig& config) {
  v1::RunConfig together = config;
  together.mutable_data()->mutable_partition()->set_parts(1);
  together.mutable_data()->mutable_partition()->mutable_iid();
  const auto all = LoadPart<double>(together, 0);
  EXPECT_OK(all);
  const auto rows = SignedRows::Create(all->train);
  EXPECT_OK(rows);
  const auto svm = FindMaxMargin(*rows);
  EXPECT_OK(svm);
  EXPECT_EQ(svm->verdict, Separability::kSeparable);
  SimulatorOptions options;
  options.config = config;
  options.threads = 2;
  options.say = [](LogLevel, const std::string&) {};
  const auto result = Simulate(std::move(options));
  EXPECT_OK(result);
  return DirectionGap(result->model.As<double>(), svm->w);
}

constexpr char kAnchored[] = "uniform {} anchored {}";

TEST(ModifiedLocalGdTest, ComesNearerToTheMaxMarginThanTheOthers) {
  for (const uint64_t seed : {1, 2, 3}) {
    const double modified =
        GapOf(RunOf("exact_prox { log_lambda: -1000 }", kAnchored, 1000, seed));
    const double local_gd =
        GapOf(RunOf("gd { steps: 20 } step_size { initial: 0.1 over_steps {} }",
                    "uniform {}", 1000, seed));
    EXPECT_LT(modified, local_gd / 5) << "seed " << seed;
    // The parallel projection method stops at some point that is feasible.
    const double projections = GapOf(
        RunOf("exact_prox { log_lambda: -1000 }", "uniform {}", 1000, seed));
    EXPECT_LT(modified, projections / 2) << "seed " << seed;
  }
}

}  // namespace
}  // namespace parley
