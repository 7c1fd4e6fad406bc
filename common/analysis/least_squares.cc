#include "common/analysis/least_squares.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"

namespace parley {
namespace {

// The continued fraction of the incomplete beta function by Lentz's method
// (Abramowitz and Stegun 26.5.8). Converges fast for x < (a + 1)/(a + b + 2).
double BetaFraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  constexpr int kMaxTerms = 10000;
  double c = 1;
  double d = 1 - (a + b) * x / (a + 1);
  if (std::abs(d) < kTiny) d = kTiny;
  d = 1 / d;
  double fraction = d;
  for (int m = 1; m < kMaxTerms; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const double odd =
        -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    for (const double term : {even, odd}) {
      d = 1 + term * d;
      c = 1 + term / c;
      if (std::abs(d) < kTiny) d = kTiny;
      if (std::abs(c) < kTiny) c = kTiny;
      d = 1 / d;
      fraction *= c * d;
    }
    if (std::abs(c * d - 1) < 1e-15) break;
  }
  return fraction;
}

// I_x(a, b), the regularised incomplete beta function.
double RegularisedBeta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
               a * std::log(x) + b * std::log1p(-x));
  return x < (a + 1) / (a + b + 2) ? front * BetaFraction(a, b, x) / a
                                   : 1 - front * BetaFraction(b, a, 1 - x) / b;
}

}  // namespace

double StudentTwoSided(double p, double freedom) {
  // P(|T| > t) = I_x(ν/2, 1/2), x = ν/(ν + t²) (Abramowitz and Stegun 26.7.1).
  const auto tail = [freedom](double t) {
    return RegularisedBeta(freedom / 2, 0.5, freedom / (freedom + t * t));
  };
  double low = 0, high = 1;
  while (tail(high) > 1 - p) high *= 2;
  for (int i = 0; i < 200 && high - low > 1e-14 * high; ++i) {
    const double middle = (low + high) / 2;
    (tail(middle) > 1 - p ? low : high) = middle;
  }
  return (low + high) / 2;
}

absl::StatusOr<LineFit> FitLine(absl::Span<const double> x,
                                absl::Span<const double> y) {
  const auto finite = [](double v) { return std::isfinite(v); };
  if (x.size() != y.size() || x.size() < 3 ||
      !std::all_of(x.begin(), x.end(), finite) ||
      !std::all_of(y.begin(), y.end(), finite)) {
    return absl::InvalidArgumentError("a line needs 3 finite points or more");
  }
  const double n = static_cast<double>(x.size());
  double mean_x = 0, mean_y = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    mean_x += x[i] / n;
    mean_y += y[i] / n;
  }
  double xx = 0, xy = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
  }
  if (!(xx > 0)) {
    return absl::InvalidArgumentError("a line needs different x");
  }
  LineFit fit;
  fit.points = static_cast<int64_t>(x.size());
  fit.slope = xy / xx;
  fit.intercept = mean_y - fit.slope * mean_x;
  double residuals = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double r = y[i] - fit.intercept - fit.slope * x[i];
    residuals += r * r;
  }
  const double variance = residuals / (n - 2);
  fit.slope_error = std::sqrt(variance / xx);
  fit.intercept_error = std::sqrt(variance * (1 / n + mean_x * mean_x / xx));
  fit.slope_within = StudentTwoSided(0.95, n - 2) * fit.slope_error;
  fit.r_squared = yy > 0 ? 1 - residuals / yy : 1;
  return fit;
}

}  // namespace parley
