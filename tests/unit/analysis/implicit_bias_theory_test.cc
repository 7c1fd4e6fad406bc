#include "common/analysis/implicit_bias_theory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <vector>

#include "common/analysis/direction.h"
#include "common/analysis/logistic_minimum.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/analysis/rows.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

std::vector<double> Even(int64_t n) {
  return std::vector<double>(n, 1.0 / static_cast<double>(n));
}

MaxMargin Svm(const SignedRows& rows) {
  auto found = FindMaxMargin(rows, {.tolerance = 1e-12});
  EXPECT_TRUE(found.ok()) << found.status();
  return *std::move(found);
}

// The gradient flow of Σ c_n·exp(−z_n·w) by a Runge-Kutta method in ln t,
// written for itself.
Eigen::VectorXd Flow(const Eigen::MatrixXd& z, const Eigen::VectorXd& weights,
                     double t) {
  const auto slope = [&](double s,
                         const Eigen::VectorXd& w) -> Eigen::VectorXd {
    const Eigen::ArrayXd m = (z * w).array();
    return z.transpose() * (weights.array() * (s - m).exp()).matrix();
  };
  Eigen::VectorXd w = Eigen::VectorXd::Zero(z.cols());
  const double begin = std::log(1e-3), h = 1e-3;
  // Up to t = 1e-3 the loss is 1 as good as it gets.
  for (double s = begin; s < std::log(t); s += h) {
    const Eigen::VectorXd a = slope(s, w);
    const Eigen::VectorXd b = slope(s + h / 2, w + h / 2 * a);
    const Eigen::VectorXd c = slope(s + h / 2, w + h / 2 * b);
    const Eigen::VectorXd d = slope(s + h, w + h * c);
    w += h / 6 * (a + 2 * b + 2 * c + d);
  }
  return w;
}

TEST(ImplicitBiasTheoryTest, TheOffsetIsThatOfTheGradientFlow) {
  // Two support vectors that span the plane, with duals that differ.
  Eigen::MatrixXd z(2, 2);
  z << 2, 1, 0.5, -1;
  const Eigen::VectorXd weights = Eigen::Vector2d(0.7, 0.3);
  const SignedRows rows = Signed(DenseRows({{2, 1}, {0.5, -1}}, {1, 1}));
  const MaxMargin svm = Svm(rows);
  ASSERT_OK_AND_ASSIGN(const LimitOffset offset,
                       FindLimitOffset(rows, {0.7, 0.3}, svm));
  EXPECT_TRUE(offset.spans_rows);
  const auto inverse_gap = [&](double t) {
    const Eigen::VectorXd w = Flow(z, weights, t);
    return 1 / DirectionGap(absl::MakeSpan(w.data(), 2), svm.w);
  };
  const double slope =
      (inverse_gap(1e8) - inverse_gap(1e6)) / std::log(1e8 / 1e6);
  EXPECT_NEAR(slope / offset.inverse_gap_slope, 1, 0.005);
}

TEST(ImplicitBiasTheoryTest, TheOffsetIsTheMostWhereRowsLieBesideTheSupport) {
  // The third row has no say in the end but moves w on the way.
  Eigen::MatrixXd z(3, 3);
  z << 2, 1, 0, 0.5, -1, 0, 3, 0, 2;
  const SignedRows rows =
      Signed(DenseRows({{2, 1, 0}, {0.5, -1, 0}, {3, 0, 2}}, {1, 1, 1}));
  const MaxMargin svm = Svm(rows);
  ASSERT_OK_AND_ASSIGN(const LimitOffset offset,
                       FindLimitOffset(rows, Even(3), svm));
  EXPECT_FALSE(offset.spans_rows);
  const auto inverse_gap = [&](double t) {
    const Eigen::VectorXd w = Flow(z, Eigen::VectorXd::Constant(3, 1.0 / 3), t);
    return 1 / DirectionGap(absl::MakeSpan(w.data(), 3), svm.w);
  };
  const double slope =
      (inverse_gap(1e8) - inverse_gap(1e6)) / std::log(1e8 / 1e6);
  EXPECT_LT(slope, 0.95 * offset.inverse_gap_slope);
}

TEST(ImplicitBiasTheoryTest, NoOffsetWhereItIsNotDefined) {
  // A row on the margin that needs no dual.
  const SignedRows touching = Signed(DenseRows({{1, 0}, {1, 1}}, {1, 1}));
  EXPECT_THAT(
      FindLimitOffset(touching, Even(2), Svm(touching)).status().message(),
      HasSubstr("dual of next to 0"));
  // Of a row that is there twice either dual will do.
  const SignedRows twice =
      Signed(DenseRows({{1, 1}, {1, 1}, {1, -1}}, {1, 1, 1}));
  MaxMargin svm = Svm(twice);
  EXPECT_FALSE(FindLimitOffset(twice, Even(3), svm).ok());
  svm.alpha = {0.25, 0.25, 0.5};
  EXPECT_THAT(FindLimitOffset(twice, Even(3), svm).status().message(),
              HasSubstr("not unique"));
  const SignedRows alone = Signed(DenseRows({{1, 2}}, {1}));
  EXPECT_THAT(FindLimitOffset(alone, Even(1), Svm(alone)).status().message(),
              HasSubstr("along the limit"));
}

TEST(ImplicitBiasTheoryTest, FitsWhatFollowsTheTheory) {
  // w = ŵ·ln t + w̃ in the plane, ŵ = (1/γ, 0), w̃ = (0.4, 0.9).
  const double margin = 0.25;
  DirectionCurve curve;
  for (int i = 0; i <= 100; ++i) {
    const double t = std::pow(10, 0.1 * i);
    const std::vector<double> w = {std::log(t) / margin + 0.4, 0.9};
    curve.t.push_back(t);
    curve.gap.push_back(DirectionGap(w, std::vector<double>{1, 0}));
    curve.norm.push_back(Norm(w));
    curve.log_loss.push_back(-std::log(t) - 2 * std::log(margin));
  }
  ASSERT_OK_AND_ASSIGN(const DirectionFits fits, FitDirection(curve, margin));
  EXPECT_EQ(fits.first, 80);
  EXPECT_EQ(fits.norm.points, 21);
  EXPECT_NEAR(fits.inverse_gap.slope, 1 / (margin * 0.9), 1e-2);
  EXPECT_NEAR(fits.norm.slope, 1 / margin, 1e-3);
  EXPECT_NEAR(fits.loss_least, 1, 1e-9);
  EXPECT_NEAR(fits.loss_most, 1, 1e-9);
  curve.t.resize(3);
  EXPECT_EQ(FitDirection(curve, margin).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

// Where Local-GD's map stands still, by running it, and where the first-order
// formula puts it.
double BiasError(double step, int64_t local_steps) {
  constexpr int kFeatures = 3;
  const std::vector<SignedRows> clients = {Signed(Noise(30, kFeatures, 1)),
                                           Signed(Noise(20, kFeatures, 2)),
                                           Signed(Noise(25, kFeatures, 3))};
  std::vector<std::vector<double>> x;
  std::vector<double> y, weights;
  Eigen::VectorXd minimum = Eigen::VectorXd::Zero(kFeatures);
  std::vector<Eigen::MatrixXd> z;
  for (const SignedRows& rows : clients) {
    Eigen::MatrixXd& own = z.emplace_back(rows.rows(), kFeatures);
    own.setZero();
    for (int64_t n = 0; n < rows.rows(); ++n) {
      std::vector<double> row(kFeatures, 0);
      rows.Add(n, 1, absl::MakeSpan(row));
      own.row(n) = Eigen::Map<Eigen::RowVectorXd>(row.data(), kFeatures);
      x.push_back(row);
      y.push_back(1);
      weights.push_back(1.0 / 3 / static_cast<double>(rows.rows()));
    }
  }
  const auto found = FindLogisticMinimum(Signed(DenseRows(x, y)), weights);
  EXPECT_EQ(found->outcome, LogisticMinimum::Outcome::kFound);
  minimum = Eigen::Map<const Eigen::VectorXd>(found->w.data(), kFeatures);
  Eigen::VectorXd w = minimum;
  for (int round = 0; round < 20000; ++round) {
    Eigen::VectorXd mean = Eigen::VectorXd::Zero(kFeatures);
    for (const Eigen::MatrixXd& own : z) {
      Eigen::VectorXd local = w;
      for (int64_t k = 0; k < local_steps; ++k) {
        const Eigen::ArrayXd slope = 1 / (1 + (own * local).array().exp());
        local += step / static_cast<double>(own.rows()) *
                 (own.transpose() * slope.matrix());
      }
      mean += local / 3;
    }
    w = mean;
  }
  const auto bias =
      FirstOrderBias(clients, std::vector<double>(3, 1.0 / 3), found->w);
  EXPECT_TRUE(bias.ok()) << bias.status();
  const Eigen::VectorXd predicted =
      step * static_cast<double>(local_steps - 1) / 2 *
      Eigen::Map<const Eigen::VectorXd>(bias->data(), kFeatures);
  EXPECT_GT(predicted.norm(), 1e-5);
  return ((w - minimum) - predicted).norm() / predicted.norm();
}

TEST(ImplicitBiasTheoryTest, TheBiasOfTheFixedPointIsOfFirstOrder) {
  const double coarse = BiasError(0.04, 4), fine = BiasError(0.02, 4);
  EXPECT_LT(coarse, 0.2);
  // What is left out is one order higher: half the step, half of it.
  EXPECT_NEAR(fine / coarse, 0.5, 0.1);
}

TEST(ImplicitBiasTheoryTest, NoBiasWithoutCurvatureInEveryDirection) {
  const std::vector<SignedRows> clients = {
      Signed(DenseRows({{1, 0}, {1, 0}}, {1, -1}))};
  EXPECT_THAT(FirstOrderBias(clients, Even(1), std::vector<double>{0, 0})
                  .status()
                  .message(),
              HasSubstr("singular"));
}

}  // namespace
}  // namespace parley
