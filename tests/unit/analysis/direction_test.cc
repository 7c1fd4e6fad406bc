#include "common/analysis/direction.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace parley {
namespace {

TEST(DirectionTest, DistanceIsAShareOfWhereItGoes) {
  EXPECT_DOUBLE_EQ(Distance({3, 4}, {0, 8}), 5.0 / 8);
  EXPECT_EQ(Distance({1, 2}, {1, 2}), 0);
  EXPECT_DOUBLE_EQ(Distance({2e200, 0}, {1e200, 0}), 1);
}

TEST(NormTest, NeitherOverflowsNorUnderflows) {
  EXPECT_DOUBLE_EQ(Norm({3, -4}), 5);
  EXPECT_DOUBLE_EQ(Norm({3e200, 4e200}), 5e200);
  EXPECT_DOUBLE_EQ(Norm({3e-200, 4e-200}), 5e-200);
  EXPECT_EQ(Norm({0, 0}), 0);
}

TEST(DirectionGapTest, IsTheChordBetweenTheDirections) {
  EXPECT_DOUBLE_EQ(DirectionGap({2, 0}, {0, 5}), std::sqrt(2));
  EXPECT_DOUBLE_EQ(DirectionGap({1, 1}, {-3, -3}), 2);
  EXPECT_DOUBLE_EQ(DirectionGap({1, 2}, {10, 20}), 0);
  // By the angle: 2·sin(φ/2).
  const double angle = 1e-7;
  EXPECT_NEAR(DirectionGap({1, 0}, {std::cos(angle), std::sin(angle)}), angle,
              1e-15);
  EXPECT_TRUE(std::isnan(DirectionGap({0, 0}, {1, 0})));
}

TEST(LogLossTest, AgreesWithTheSumWhereThatCanBeComputed) {
  const std::vector<double> margins = {-3, 0.5, 2, 20};
  const std::vector<double> weights = {0.1, 0.2, 0.3, 0.4};
  double logistic = 0, exponential = 0;
  for (size_t n = 0; n < margins.size(); ++n) {
    logistic += weights[n] * std::log1p(std::exp(-margins[n]));
    exponential += weights[n] * std::exp(-margins[n]);
  }
  EXPECT_NEAR(LogLoss(MarginLoss::kLogistic, margins, weights),
              std::log(logistic), 1e-14);
  EXPECT_NEAR(LogLoss(MarginLoss::kExponential, margins, weights),
              std::log(exponential), 1e-14);
}

TEST(LogLossTest, StaysFiniteFarBeyondTheRangeOfDouble) {
  // log(½(e⁻²⁰⁰⁰ + e⁻²⁰⁰¹)) for both, as log(1 + x) = x there.
  const double expected = -2000 + std::log(0.5 * (1 + std::exp(-1.0)));
  for (const MarginLoss loss :
       {MarginLoss::kLogistic, MarginLoss::kExponential}) {
    EXPECT_NEAR(LogLoss(loss, {2000, 2001}, {0.5, 0.5}), expected, 1e-10);
  }
  EXPECT_NEAR(LogLoss(MarginLoss::kLogistic, {-2000}, {1}), std::log(2000),
              1e-12);
  EXPECT_DOUBLE_EQ(LogLoss(MarginLoss::kExponential, {-2000}, {1}), 2000);
  // Both forms of log(log(1 + e⁻ᵐ)) meet.
  EXPECT_NEAR(LogLoss(MarginLoss::kLogistic, {36.9999999}, {1}), -36.9999999,
              1e-14);
}

}  // namespace
}  // namespace parley
