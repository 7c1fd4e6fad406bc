// Modified Local-GD (arXiv 2412.07971) in whole federated runs, against the
// support vector machine of all the data.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/analysis/direction.h"
#include "common/base/executor.h"
#include "tests/unit/sim/runs.h"

namespace parley {
namespace {

constexpr int kSeeds = 10;
constexpr int kRounds = 3000;

double Median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return (x[x.size() / 2] + x[(x.size() - 1) / 2]) / 2;
}

TEST(ModifiedLocalGdTest, ComesNearerToTheMaxMarginThanTheOthers) {
  constexpr char kProx[] = "exact_prox { log_lambda: -1000 }";
  constexpr char kSteps[] =
      "gd { steps: 20 } step_size { initial: 0.3 over_steps {} }";
  std::vector<double> modified(kSeeds), vanilla(kSeeds), projected(kSeeds);
  const auto run = [&](int64_t i) {
    const auto gap = [i](const char* local, const char* aggregation) {
      const v1::RunConfig config =
          RunOf("EXPONENTIAL", kSeparable, local, aggregation, kRounds, i + 1);
      return DirectionGap(ModelOf(config), SvmOf(config).w);
    };
    modified[i] = gap(kProx, "uniform {} anchored {}");
    vanilla[i] = gap(kSteps, "uniform {}");
    projected[i] = gap(kProx, "uniform {}");
  };
  ThreadPool pool(1);  // and this thread
  ParallelFor(&pool, kSeeds, /*grain=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) run(i);
  });
  std::vector<double> over_vanilla, over_projected;
  for (int i = 0; i < kSeeds; ++i) {
    over_vanilla.push_back(vanilla[i] / modified[i]);
    over_projected.push_back(projected[i] / modified[i]);
  }
  EXPECT_GT(Median(over_vanilla), 10);
  // The parallel projection method stops at some point that is feasible.
  EXPECT_GT(Median(over_projected), 10);
}

}  // namespace
}  // namespace parley
