#include "common/analysis/max_margin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>

#include "common/analysis/direction.h"
#include "common/data/generators.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/analysis/rows.h"

namespace parley {
namespace {

using ::testing::Each;
using ::testing::Ge;

MaxMargin Find(const SignedRows& rows, const MaxMarginOptions& options = {}) {
  auto found = FindMaxMargin(rows, options);
  EXPECT_TRUE(found.ok()) << found.status();
  return *std::move(found);
}

// By the definition alone, not by the way that it was found.
void ExpectProven(const SignedRows& rows, const MaxMargin& found,
                  double tolerance = 1e-9) {
  ASSERT_EQ(found.verdict, Separability::kSeparable);
  const std::vector<double> margins = rows.Margins(found.w);
  EXPECT_NEAR(*std::min_element(margins.begin(), margins.end()), 1, 1e-12);
  EXPECT_NEAR(found.margin * Norm(found.w), 1, 1e-12);
  EXPECT_THAT(found.alpha, Each(Ge(0)));
  EXPECT_NEAR(MarginBound(rows, found.alpha) / found.margin, 1, 10 * tolerance);
  // Where z·w > 1 the dual is 0.
  for (int64_t n = 0; n < rows.rows(); ++n) {
    if (margins[n] > 1 + 1e-3) {
      EXPECT_EQ(found.alpha[n], 0) << "row " << n;
    }
  }
}

TEST(MaxMarginTest, OneRowIsItsOwnNormal) {
  const SignedRows rows = Signed(DenseRows({{3, -4}}, {-1}));
  const MaxMargin found = Find(rows);
  ExpectProven(rows, found);
  EXPECT_NEAR(found.margin, 5, 1e-12);
  EXPECT_NEAR(found.w[0], -0.12, 1e-12);
  EXPECT_NEAR(found.w[1], 0.16, 1e-12);
}

TEST(MaxMarginTest, SolvesAnExampleByHand) {
  // z = (2, 1), (1, 2), (4, 4): the first two hold w = (1/3, 1/3).
  const SignedRows rows =
      Signed(DenseRows({{2, 1}, {-1, -2}, {4, 4}}, {1, -1, 1}));
  const MaxMargin found = Find(rows);
  ExpectProven(rows, found);
  EXPECT_NEAR(found.w[0], 1.0 / 3, 1e-9);
  EXPECT_NEAR(found.w[1], 1.0 / 3, 1e-9);
  EXPECT_NEAR(found.margin, 3 / std::sqrt(2), 1e-9);
  EXPECT_EQ(found.alpha[2], 0);
}

TEST(MaxMarginTest, FindsTheNormalThatTheDataWereMadeWith) {
  for (const auto& [rows_wanted, features] :
       {std::pair<int64_t, int64_t>{200, 10}, {40, 40}, {20, 300}}) {
    const SeparableOptions o = {
        .rows = rows_wanted, .features = features, .margin = 0.3};
    const uint64_t seed = 7;
    const SignedRows rows =
        Signed(Dataset<double>(*Generate<double>(o, seed, "train")));
    const MaxMargin found = Find(rows);
    ExpectProven(rows, found);
    EXPECT_NEAR(found.margin, 0.3, 1e-7);
    EXPECT_LT(DirectionGap(found.w, SeparableNormal(features, seed)), 1e-4);
  }
}

TEST(MaxMarginTest, MeetsTheConditionsOfKarushKuhnAndTucker) {
  // Fewer rows than features: separable, and with all rows as support vectors
  // where the dense solve of Gram·α = 1 has no negative entry.
  int solved = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const SignedRows rows = Signed(Noise(6, 40, seed));
    const MaxMargin found = Find(rows);
    ExpectProven(rows, found);
    const std::vector<double> gram = rows.Gram();
    const Eigen::VectorXd alpha =
        Eigen::Map<const Eigen::MatrixXd>(gram.data(), 6, 6)
            .ldlt()
            .solve(Eigen::VectorXd::Ones(6));
    if (alpha.minCoeff() < 0) continue;
    ++solved;
    // The optimum's ‖w‖² = Σ α.
    EXPECT_NEAR(found.margin, 1 / std::sqrt(alpha.sum()), 1e-8);
    for (int n = 0; n < 6; ++n) EXPECT_NEAR(found.alpha[n], alpha[n], 1e-6);
  }
  EXPECT_GT(solved, 5);
}

TEST(MaxMarginTest, DenseSparseAndScaledDataHaveOneAnswer) {
  std::vector<std::vector<double>> x = {{2, 0, 1}, {0, -1, -1}, {3, 1, 0}};
  const MaxMargin dense = Find(Signed(DenseRows(x, {1, -1, 1})));
  const MaxMargin sparse = Find(Signed(SparseRows(x, {1, -1, 1})));
  // As small as raw gene data is large.
  for (auto& row : x) {
    for (double& v : row) v *= 1e5;
  }
  const SignedRows large_rows = Signed(DenseRows(x, {1, -1, 1}));
  const MaxMargin large = Find(large_rows);
  ExpectProven(large_rows, large);
  EXPECT_LT(DirectionGap(dense.w, sparse.w), 1e-4);
  EXPECT_LT(DirectionGap(dense.w, large.w), 1e-4);
  EXPECT_NEAR(large.margin / dense.margin, 1e5, 1e-2);
}

TEST(MaxMarginTest, DuplicatedRowsAndZeroColumnsDoNotMatter) {
  const std::vector<std::vector<double>> once = {{2, 1}, {1, 2}};
  const SignedRows twice = Signed(
      DenseRows({{2, 1, 0}, {2, 1, 0}, {1, 2, 0}, {1, 2, 0}}, {1, 1, 1, 1}));
  const MaxMargin found = Find(twice);
  ExpectProven(twice, found);
  EXPECT_NEAR(found.margin, Find(Signed(DenseRows(once, {1, 1}))).margin, 1e-8);
  EXPECT_EQ(found.w[2], 0);
}

TEST(MaxMarginTest, ProvesThatOppositeRowsHaveNoMargin) {
  const SignedRows rows = Signed(DenseRows({{1, 2}, {1, 2}}, {1, -1}));
  const MaxMargin found = Find(rows, {.smallest_margin = 1e-3});
  EXPECT_EQ(found.verdict, Separability::kNotSeparable);
  EXPECT_LE(found.margin_bound, 1e-3 * std::sqrt(5.0));
  EXPECT_TRUE(found.w.empty());
}

TEST(MaxMarginTest, NeverTakesNoiseForSeparable) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const SignedRows rows = Signed(Noise(60, 5, seed));
    const MaxMargin found = Find(rows, {.max_epochs = 500});
    EXPECT_NE(found.verdict, Separability::kSeparable);
    EXPECT_LT(found.margin_bound, 0.05);
    EXPECT_GE(found.margin_bound, 0);
  }
}

TEST(MaxMarginTest, WithoutTimeItIsUndecided) {
  const SeparableOptions o = {.rows = 500, .features = 20, .margin = 0.01};
  const SignedRows rows =
      Signed(Dataset<double>(*Generate<double>(o, 1, "train")));
  const MaxMargin found = Find(rows, {.max_epochs = 1});
  EXPECT_EQ(found.verdict, Separability::kUndecided);
  EXPECT_GE(found.margin_bound, 0.01);
  EXPECT_EQ(found.margin, 0);
}

TEST(MaxMarginTest, RefusesWhatHasNoAnswer) {
  const SignedRows zero = Signed(DenseRows({{1, 1}, {0, 0}}, {1, 1}));
  EXPECT_THAT(FindMaxMargin(zero),
              StatusIs(absl::StatusCode::kInvalidArgument, "row 1 is zero"));
  const SignedRows rows = Signed(DenseRows({{1, 1}}, {1}));
  EXPECT_THAT(FindMaxMargin(rows, {.tolerance = 0}),
              StatusIs(absl::StatusCode::kInvalidArgument, "tolerance is 0"));
  EXPECT_THAT(FindMaxMargin(rows, {.max_epochs = 0}),
              StatusIs(absl::StatusCode::kInvalidArgument, "max_epochs is 0"));
  const SignedRows noise = Signed(Noise(60, 5, 1));
  EXPECT_THAT(FindMaxMargin(noise, {}, [] { return false; }),
              StatusIs(absl::StatusCode::kCancelled, "cancelled"));
}

}  // namespace
}  // namespace parley
