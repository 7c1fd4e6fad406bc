#include "server/selection/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"

namespace parley {
namespace {

using ::testing::ElementsAre;

TEST(CandidatePool, IsSortedWhateverComesAndGoes) {
  CandidatePool pool;
  std::set<std::string> expected;
  Rng rng(3, "pool");
  for (int i = 0; i < 2000; ++i) {
    const std::string name = absl::StrCat("c", rng.Below(50));
    if (rng.Below(2)) {
      pool.Add(name);
      expected.insert(name);
    } else {
      pool.Remove(name);
      expected.erase(name);
    }
    if (rng.Below(4) > 0) continue;
    ASSERT_EQ(pool.Sorted(),
              std::vector<std::string>(expected.begin(), expected.end()));
    ASSERT_EQ(pool.size(), static_cast<int64_t>(expected.size()));
  }
}

v1::Cohort Sizes(double fraction, int min, int max, double over) {
  v1::Cohort cohort;
  cohort.set_fraction(fraction);
  cohort.set_min(min);
  if (max > 0) cohort.set_max(max);
  cohort.set_over_selection(over);
  return cohort;
}

TEST(SizeCohort, RoundsUpAndKeepsItsLimits) {
  const auto size = [](const v1::Cohort& cohort, int n) {
    const CohortSize s = SizeCohort(cohort, n);
    return std::vector<int>{s.needed, s.asked};
  };
  EXPECT_THAT(size(Sizes(1, 1, 0, 0), 10), ElementsAre(10, 10));
  EXPECT_THAT(size(Sizes(0.25, 1, 0, 0), 10), ElementsAre(3, 3));
  EXPECT_THAT(size(Sizes(0.1, 1, 0, 0), 30), ElementsAre(3, 3));
  EXPECT_THAT(size(Sizes(0.1, 5, 0, 0), 30), ElementsAre(3, 3));
  EXPECT_THAT(size(Sizes(1, 5, 7, 0), 30), ElementsAre(7, 7));
  EXPECT_THAT(size(Sizes(1, 5, 7, 0.3), 30), ElementsAre(7, 10));
  EXPECT_THAT(size(Sizes(1, 5, 7, 0.3), 8), ElementsAre(7, 8));
  EXPECT_THAT(size(Sizes(0.001, 1, 0, 0), 10), ElementsAre(1, 1));
}

TEST(DrawCohort, DependsOnNamesSeedAndRoundAlone) {
  CandidatePool one, two;
  for (int i = 0; i < 30; ++i) one.Add(absl::StrCat("c", i));
  for (int i = 29; i >= 0; --i) two.Add(absl::StrCat("c", i));
  const auto cohort = DrawCohort(one, 10, 5, 3);
  EXPECT_EQ(cohort, DrawCohort(two, 10, 5, 3));
  EXPECT_NE(cohort, DrawCohort(two, 10, 5, 4));
  EXPECT_NE(cohort, DrawCohort(two, 10, 6, 3));
  EXPECT_EQ(std::set<std::string>(cohort.begin(), cohort.end()).size(), 10u);
}

TEST(DrawCohort, DrawsEveryoneEquallyOften) {
  CandidatePool pool;
  for (int i = 0; i < 10; ++i) pool.Add(absl::StrCat(i));
  std::map<std::string, int> drawn;
  for (int round = 0; round < 10000; ++round) {
    for (const std::string& name : DrawCohort(pool, 3, 1, round)) ++drawn[name];
  }
  // Binomial(10000, 0.3): mean 3000, standard deviation 46.
  for (const auto& [name, count] : drawn) EXPECT_NEAR(count, 3000, 5 * 46);
}

}  // namespace
}  // namespace parley
