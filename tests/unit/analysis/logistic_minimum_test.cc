#include "common/analysis/logistic_minimum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>

#include "common/analysis/max_margin.h"
#include "common/data/generators.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/analysis/rows.h"

namespace parley {
namespace {

using Outcome = LogisticMinimum::Outcome;

std::vector<double> Even(int64_t n) {
  return std::vector<double>(n, 1.0 / static_cast<double>(n));
}

LogisticMinimum Find(const SignedRows& rows,
                     const std::vector<double>& weights) {
  auto found = FindLogisticMinimum(rows, weights);
  EXPECT_TRUE(found.ok()) << found.status();
  return *std::move(found);
}

TEST(LogisticMinimumTest, OneFeatureHasAClosedForm) {
  // ¾ of the weight wants w up, ¼ down: σ(w) = ¾, so w = log 3.
  const SignedRows rows = Signed(DenseRows({{1}, {1}}, {1, -1}));
  const LogisticMinimum found = Find(rows, {0.75, 0.25});
  EXPECT_EQ(found.outcome, Outcome::kFound);
  EXPECT_NEAR(found.w[0], std::log(3), 1e-12);
  EXPECT_NEAR(found.loss, -0.75 * std::log(0.75) - 0.25 * std::log(0.25),
              1e-14);
}

// Newton's method with a dense Hessian, written for itself.
Eigen::VectorXd DenseNewton(const Eigen::MatrixXd& z,
                            const Eigen::VectorXd& weights) {
  Eigen::VectorXd w = Eigen::VectorXd::Zero(z.cols());
  for (int step = 0; step < 100; ++step) {
    const Eigen::ArrayXd s = 1 / (1 + (z * w).array().exp());
    const Eigen::ArrayXd c = weights.array();
    const Eigen::VectorXd gradient = -z.transpose() * (c * s).matrix();
    const Eigen::MatrixXd hessian =
        z.transpose() * (c * s * (1 - s)).matrix().asDiagonal() * z;
    w -= hessian.ldlt().solve(gradient);
  }
  return w;
}

TEST(LogisticMinimumTest, AgreesWithADenseNewtonsMethod) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const SignedRows rows = Signed(Noise(100, 6, seed));
    std::vector<double> weights = Even(100);
    weights[3] *= 5;
    const LogisticMinimum found = Find(rows, weights);
    ASSERT_EQ(found.outcome, Outcome::kFound);
    Eigen::MatrixXd z(100, 6);
    for (int n = 0; n < 100; ++n) {
      std::vector<double> row(6);
      rows.Add(n, 1, absl::MakeSpan(row));
      for (int j = 0; j < 6; ++j) z(n, j) = row[j];
    }
    const Eigen::VectorXd expected =
        DenseNewton(z, Eigen::Map<const Eigen::VectorXd>(weights.data(), 100));
    for (int j = 0; j < 6; ++j) EXPECT_NEAR(found.w[j], expected[j], 1e-11);
  }
}

TEST(LogisticMinimumTest, ProvesThatNoiseHasNoMargin) {
  const SignedRows rows = Signed(Noise(200, 10, 1));
  const LogisticMinimum found = Find(rows, Even(200));
  EXPECT_EQ(found.outcome, Outcome::kFound);
  EXPECT_LT(found.margin_bound, 1e-11);
}

TEST(LogisticMinimumTest, SaysThatSeparableDataHaveNone) {
  const SeparableOptions o = {.rows = 100, .features = 10, .margin = 0.5};
  const SignedRows rows =
      Signed(Dataset<double>(*Generate<double>(o, 1, "train")));
  const LogisticMinimum found = Find(rows, Even(100));
  EXPECT_EQ(found.outcome, Outcome::kNone);
  // Whatever w it stopped at, its bound is one.
  EXPECT_GE(found.margin_bound, 0.5);
}

TEST(LogisticMinimumTest, ZeroColumnsAndZeroRowsDoNotMatter) {
  const SignedRows plain =
      Signed(DenseRows({{1, 2}, {2, 1}, {1, 1}}, {1, 1, -1}));
  const SignedRows padded = Signed(
      SparseRows({{1, 0, 2}, {2, 0, 1}, {1, 0, 1}, {0, 0, 0}}, {1, 1, -1, 1}));
  const LogisticMinimum a = Find(plain, {0.2, 0.2, 0.6});
  const LogisticMinimum b = Find(padded, {0.2, 0.2, 0.6, 1});
  ASSERT_EQ(a.outcome, Outcome::kFound);
  ASSERT_EQ(b.outcome, Outcome::kFound);
  EXPECT_NEAR(a.w[0], b.w[0], 1e-10);
  EXPECT_NEAR(a.w[1], b.w[2], 1e-10);
  EXPECT_EQ(b.w[1], 0);
}

TEST(LogisticMinimumTest, RefusesWrongWeights) {
  const SignedRows rows = Signed(DenseRows({{1}, {1}}, {1, -1}));
  constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(FindLogisticMinimum(rows, {1.0}),
              StatusIs(kInvalid, "1 weights for 2 rows"));
  EXPECT_THAT(FindLogisticMinimum(rows, {1.0, 0.0}),
              StatusIs(kInvalid, "the weight of row 1 is 0"));
  EXPECT_THAT(FindLogisticMinimum(rows, {1.0, 1.0}, {.tolerance = 2}),
              StatusIs(kInvalid, "tolerance is 2"));
  EXPECT_THAT(FindLogisticMinimum(rows, {0.9, 0.1}, {}, [] { return false; }),
              StatusIs(absl::StatusCode::kCancelled, "cancelled"));
}

}  // namespace
}  // namespace parley
