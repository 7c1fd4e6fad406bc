#include "common/analysis/direction_spread.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/unit/analysis/rows.h"

namespace parley {
namespace {

bool GoOn() { return true; }

TEST(DirectionSpreadTest, OfClientsWithOneRowItIsTheAnglesOfTheRows) {
  // A row's own direction is the row: (1, 0) and (0, 1) are 45° from (1, 1),
  // a chord of 2·sin(22.5°); (5, 5) is on it.
  const std::vector<SignedRows> clients = {Signed(DenseRows({{1, 0}}, {1})),
                                           Signed(DenseRows({{0, -7}}, {-1})),
                                           Signed(DenseRows({{5, 5}}, {1}))};
  const double chord = 2 * std::sin(M_PI / 8);
  ThreadPool pool(3);
  for (Executor* executor :
       {static_cast<Executor*>(nullptr), static_cast<Executor*>(&pool)}) {
    ASSERT_OK_AND_ASSIGN(
        const DirectionSpread spread,
        SpreadOfDirections(clients, {1, 1}, {}, executor, GoOn));
    EXPECT_EQ(spread.separable, 3);
    EXPECT_NEAR(spread.mean, 2 * chord / 3, 1e-9);
    EXPECT_NEAR(spread.max, chord, 1e-9);
  }
}

TEST(DirectionSpreadTest, LeavesOutWhoHasNoDirectionAndCountsThem) {
  const std::vector<SignedRows> clients = {
      Signed(DenseRows({{1, 1}}, {1})),
      Signed(DenseRows({{1, 0}, {-1, 0}}, {1, 1})),  // both sides of 0
      Signed(DenseRows({{0, 0}}, {1}))};             // nothing at all
  ASSERT_OK_AND_ASSIGN(const DirectionSpread spread,
                       SpreadOfDirections(clients, {1, 1}, {}, nullptr, GoOn));
  EXPECT_EQ(spread.separable, 1);
  EXPECT_EQ(spread.not_separable, 2);
  EXPECT_EQ(spread.undecided, 0);
  EXPECT_NEAR(spread.max, 0, 1e-12);
  ASSERT_OK_AND_ASSIGN(
      const DirectionSpread none,
      SpreadOfDirections(absl::MakeConstSpan(clients).subspan(1), {1, 1}, {},
                         nullptr, GoOn));
  EXPECT_TRUE(std::isnan(none.mean));
  EXPECT_TRUE(std::isnan(none.max));
}

TEST(DirectionSpreadTest, StopsWhenTold) {
  const std::vector<SignedRows> clients = {Signed(Noise(30, 3, 1))};
  EXPECT_THAT(
      SpreadOfDirections(clients, {1, 1, 1}, {}, nullptr, [] { return false; }),
      StatusIs(absl::StatusCode::kCancelled, ""));
}

}  // namespace
}  // namespace parley
