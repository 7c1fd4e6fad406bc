#include "common/analysis/least_squares.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tests/support/status_matchers.h"

namespace parley {
namespace {

TEST(LeastSquaresTest, AgreesWithTheCertifiedValuesOfNistsNorris) {
  // NIST StRD, linear regression, dataset Norris.
  const std::vector<double> y = {
      0.1,   338.8, 118.1, 888.0, 9.2,   228.1, 668.5, 998.5, 449.1,
      778.9, 559.2, 0.3,   0.1,   778.1, 668.8, 339.3, 448.9, 10.8,
      557.7, 228.3, 998.0, 888.8, 119.6, 0.3,   0.6,   557.6, 339.3,
      888.0, 998.5, 778.9, 10.2,  117.6, 228.9, 668.4, 449.2, 0.2};
  const std::vector<double> x = {
      0.2,   337.4, 118.2, 884.6, 10.1,  226.5, 666.3, 996.3, 448.6,
      777.0, 558.2, 0.4,   0.6,   775.5, 666.9, 338.0, 447.5, 11.6,
      556.0, 228.1, 995.8, 887.6, 120.2, 0.3,   0.3,   556.8, 339.1,
      887.2, 999.0, 779.0, 11.1,  118.3, 229.2, 669.1, 448.9, 0.5};
  ASSERT_OK_AND_ASSIGN(const LineFit fit, FitLine(x, y));
  EXPECT_EQ(fit.points, 36);
  EXPECT_NEAR(fit.intercept, -0.262323073774029, 1e-12);
  EXPECT_NEAR(fit.slope, 1.00211681802045, 1e-13);
  EXPECT_NEAR(fit.intercept_error, 0.232818234301152, 1e-12);
  EXPECT_NEAR(fit.slope_error, 0.429796848199937e-3, 1e-14);
  EXPECT_NEAR(fit.r_squared, 0.999993745883712, 1e-13);
  // Half a width is t(34) standard errors, which tables give as 2.0322.
  EXPECT_NEAR(fit.slope_within / fit.slope_error, 2.0322, 1e-4);
}

TEST(LeastSquaresTest, StudentsQuantilesAreThoseOfTheTables) {
  // Abramowitz and Stegun, table 26.10.
  EXPECT_NEAR(StudentTwoSided(0.95, 1), 12.706, 5e-4);
  EXPECT_NEAR(StudentTwoSided(0.95, 2), 4.303, 5e-4);
  EXPECT_NEAR(StudentTwoSided(0.95, 10), 2.228, 5e-4);
  EXPECT_NEAR(StudentTwoSided(0.95, 120), 1.980, 5e-4);
  EXPECT_NEAR(StudentTwoSided(0.99, 5), 4.032, 5e-4);
  // With two degrees of freedom there is a closed form: t = p·√(2/(1 − p²)).
  EXPECT_NEAR(StudentTwoSided(0.8, 2), 0.8 * std::sqrt(2 / (1 - 0.64)), 1e-12);
}

TEST(LeastSquaresTest, ALineIsFoundExactlyAndNothingElseIsFitted) {
  ASSERT_OK_AND_ASSIGN(const LineFit fit,
                       FitLine(std::vector<double>{1, 2, 3, 4},
                               std::vector<double>{1, 3, 5, 7}));
  EXPECT_DOUBLE_EQ(fit.slope, 2);
  EXPECT_DOUBLE_EQ(fit.intercept, -1);
  EXPECT_DOUBLE_EQ(fit.r_squared, 1);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [x, y] :
       {std::pair(std::vector<double>{1, 2}, std::vector<double>{1, 2}),
        std::pair(std::vector<double>{1, 1, 1}, std::vector<double>{1, 2, 3}),
        std::pair(std::vector<double>{1, 2, 3}, std::vector<double>{1, 2}),
        std::pair(std::vector<double>{1, 2, nan},
                  std::vector<double>{1, 2, 3})}) {
    EXPECT_EQ(FitLine(x, y).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace parley
