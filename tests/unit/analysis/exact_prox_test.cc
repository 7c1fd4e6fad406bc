#include "common/analysis/exact_prox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>

#include "common/analysis/direction.h"
#include "common/analysis/max_margin.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/analysis/rows.h"

namespace parley {
namespace {

TEST(WrightOmegaTest, SolvesItsEquation) {
  EXPECT_DOUBLE_EQ(WrightOmega(1), 1);
  // The omega constant: Ω·e^Ω = 1.
  EXPECT_NEAR(WrightOmega(0), 0.56714329040978387300, 1e-16);
  EXPECT_NEAR(WrightOmega(1 + M_E), M_E, 1e-15);
  for (const double x : {-35.9, -10.0, -1.0, 0.5, 3.0, 50.0, 1000.0, 1e10}) {
    const double omega = WrightOmega(x);
    EXPECT_NEAR((omega + std::log(omega) - x) / std::max(1.0, std::abs(x)), 0,
                1e-15)
        << x;
  }
  EXPECT_DOUBLE_EQ(WrightOmega(-100), std::exp(-100));
  EXPECT_EQ(WrightOmega(-2000), 0);
}

Eigen::MatrixXd Matrix(const SignedRows& rows) {
  Eigen::MatrixXd z(rows.rows(), rows.features());
  std::vector<double> row(rows.features());
  for (int64_t n = 0; n < rows.rows(); ++n) {
    row.assign(row.size(), 0.0);
    rows.Add(n, 1, absl::MakeSpan(row));
    for (int64_t j = 0; j < rows.features(); ++j) z(n, j) = row[j];
  }
  return z;
}

TEST(ExactProxTest, AgreesWithNewtonsMethodOnThePrimal) {
  for (const int64_t features : {3, 30}) {  // on w, and on the Gram matrix
    const SignedRows rows = Signed(Noise(8, features, 5));
    const Eigen::MatrixXd z = Matrix(rows);
    const double lambda = 0.2;
    std::vector<double> v(features);
    for (int64_t j = 0; j < features; ++j)
      v[j] = 0.1 * static_cast<double>(j % 4);
    const Eigen::VectorXd anchor =
        Eigen::Map<const Eigen::VectorXd>(v.data(), features);
    Eigen::VectorXd w = anchor;
    for (int i = 0; i < 200; ++i) {  // damped: exp is far from quadratic
      const Eigen::VectorXd e = (-(z * w)).array().exp();
      const Eigen::VectorXd gradient =
          -z.transpose() * e + lambda * (w - anchor);
      Eigen::MatrixXd hessian = z.transpose() * e.asDiagonal() * z;
      hessian.diagonal().array() += lambda;
      const Eigen::VectorXd step = hessian.ldlt().solve(gradient);
      w -= step / std::max(1.0, (z * step).cwiseAbs().maxCoeff());
    }
    ExactProx prox(rows, {.log_lambda = std::log(lambda)});
    ASSERT_OK(prox.Solve(absl::MakeSpan(v)));
    for (int64_t j = 0; j < features; ++j) EXPECT_NEAR(v[j], w[j], 1e-9);
  }
}

TEST(ExactProxTest, TendsToTheMaxMarginAsLambdaVanishes) {
  const SignedRows rows = Signed(Noise(10, 25, 2));
  const auto svm = FindMaxMargin(rows);
  ASSERT_OK(svm);
  double last_gap = 2;
  std::vector<double> v;
  for (const double log_lambda : {-10.0, -100.0, -1000.0, -10000.0}) {
    ExactProx prox(rows, {.log_lambda = log_lambda});
    v.assign(25, 0.0);
    ASSERT_OK(prox.Solve(absl::MakeSpan(v)));
    const double gap = DirectionGap(v, svm->w);
    EXPECT_LT(gap, last_gap / 3) << log_lambda;
    last_gap = gap;
  }
  // The projection of 0 onto {u : z·u >= 1} has norm 1/margin.
  EXPECT_NEAR(Norm(v) / 10000 * svm->margin, 1, 1e-2);
}

TEST(ExactProxTest, SolvesWhereRowsAreManyAndAlike) {
  // 200 rows in 4 features, close to one another and to a hyperplane: pass by
  // pass the duals hardly move.
  Rng rng(1, "alike");
  std::vector<std::vector<double>> x;
  std::vector<double> y;
  for (int n = 0; n < 200; ++n) {
    y.push_back(n % 2 == 0 ? 1 : -1);
    x.push_back({y.back() * 0.01, 1, 1 + 1e-3 * rng.Normal(), rng.Normal()});
  }
  const SignedRows rows = Signed(DenseRows(x, y));
  const double log_lambda = -1000;
  ExactProx prox(rows, {.log_lambda = log_lambda});
  std::vector<double> w(4);
  ASSERT_OK(prox.Solve(absl::MakeSpan(w)));
  EXPECT_LT(prox.epochs(), 5000);
  // w is where the gradient vanishes: w = Σ e^(−m − ln λ)·z.
  const std::vector<double> margins = rows.Margins(w);
  std::vector<double> rest = w;
  for (int n = 0; n < 200; ++n) {
    rows.Add(n, -std::exp(-margins[n] - log_lambda), absl::MakeSpan(rest));
  }
  EXPECT_LT(Norm(rest), 1e-3 * Norm(w));
}

TEST(ExactProxTest, ProjectsAPointThatIsFeasibleOntoItself) {
  const SignedRows rows = Signed(DenseRows({{1, 0}, {0, 1}}, {1, 1}));
  ExactProx prox(rows, {.log_lambda = -1000});
  std::vector<double> v = {3000, 2000};  // z·v/ln(1/λ) = 3 and 2
  ASSERT_OK(prox.Solve(absl::MakeSpan(v)));
  EXPECT_DOUBLE_EQ(v[0], 3000);
  EXPECT_DOUBLE_EQ(v[1], 2000);
  // And one that is not onto the face of what it violates.
  v = {3000, -500};
  ASSERT_OK(prox.Solve(absl::MakeSpan(v)));
  EXPECT_DOUBLE_EQ(v[0], 3000);
  EXPECT_NEAR(v[1] / 1000, 1, 0.01);
}

TEST(ExactProxTest, DependsOnThePointAlone) {
  const SignedRows rows = Signed(Noise(20, 50, 3));
  ExactProx used(rows, {.log_lambda = -200});
  std::vector<double> first(50);
  ASSERT_OK(used.Solve(absl::MakeSpan(first)));
  std::vector<double> w = first, again = first;
  ASSERT_OK(used.Solve(absl::MakeSpan(w)));
  ExactProx fresh(rows, {.log_lambda = -200});
  ASSERT_OK(fresh.Solve(absl::MakeSpan(again)));
  EXPECT_EQ(w, again);
}

// Rows of w8a's kind: 0 and 1, few features, many of them the same with both
// labels, and a feature that only one label has.
SignedRows ManyAlike() {
  Rng rng(7, "many alike");
  std::vector<std::vector<double>> x;
  std::vector<double> y;
  for (int n = 0; n < 400; ++n) {
    y.push_back(rng.Below(4) == 0 ? 1 : -1);
    std::vector<double>& row = x.emplace_back(6);
    for (int j = 0; j < 5; ++j) row[j] = rng.Below(3) == 0 ? 1 : 0;
    row[0] = 1;
    if (y.back() > 0 && n % 3 == 0) row[5] = 1;
  }
  return Signed(SparseRows(x, y));
}

TEST(ExactProxTest, SolvesWhereNothingSeparates) {
  const SignedRows rows = ManyAlike();
  for (const double log_lambda : {-1.0, -5.0}) {
    ExactProx prox(rows, {.log_lambda = log_lambda});
    std::vector<double> w(6, 0.5);
    ASSERT_OK(prox.Solve(absl::MakeSpan(w)));
    // There the gradient vanishes: λ·(w − v) = Σ e^(−m)·z.
    std::vector<double> rest(6);
    const double lambda = std::exp(log_lambda);
    for (int j = 0; j < 6; ++j) rest[j] = lambda * (w[j] - 0.5);
    const std::vector<double> margins = rows.Margins(w);
    for (int n = 0; n < 400; ++n) {
      rows.Add(n, -std::exp(-margins[n]), absl::MakeSpan(rest));
    }
    EXPECT_LT(Norm(rest), 1e-10) << log_lambda;
  }
}

TEST(ExactProxTest, RefusesWhereNothingSeparatesAndLambdaIsTiny) {
  ExactProx prox(ManyAlike(), {.log_lambda = -1000});
  std::vector<double> v(6, 0.5);
  EXPECT_THAT(prox.Solve(absl::MakeSpan(v)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "no hyperplane through the origin separates"));
  EXPECT_EQ(v, std::vector<double>(6, 0.5));
}

TEST(ExactProxTest, RowsOfZerosPullNowhere) {
  ExactProx prox(Signed(DenseRows({{1, 0}, {0, 0}, {0, 1}}, {1, 1, -1})),
                 {.log_lambda = -1000});
  ExactProx without(Signed(DenseRows({{1, 0}, {0, 1}}, {1, -1})),
                    {.log_lambda = -1000});
  std::vector<double> w(2), want(2);
  ASSERT_OK(prox.Solve(absl::MakeSpan(w)));
  ASSERT_OK(without.Solve(absl::MakeSpan(want)));
  EXPECT_EQ(w, want);
}

TEST(ExactProxTest, SaysWhereItWasNotSolved) {
  const SignedRows rows = Signed(Noise(20, 25, 3));
  std::vector<double> v(25);
  ExactProx hasty(rows, {.log_lambda = -1000, .max_epochs = 2});
  EXPECT_THAT(hasty.Solve(absl::MakeSpan(v)),
              StatusIs(absl::StatusCode::kResourceExhausted, "2 passes"));
  EXPECT_EQ(Norm(v), 0);
  ExactProx cancelled(rows, {});
  EXPECT_THAT(cancelled.Solve(absl::MakeSpan(v), [] { return false; }),
              StatusIs(absl::StatusCode::kCancelled, "cancelled"));
}

}  // namespace
}  // namespace parley
