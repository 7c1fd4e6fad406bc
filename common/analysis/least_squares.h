// A straight line through points, and how sure its slope is.
#ifndef PARLEY_COMMON_ANALYSIS_LEAST_SQUARES_H_
#define PARLEY_COMMON_ANALYSIS_LEAST_SQUARES_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace parley {

struct LineFit {
  int64_t points = 0;
  double slope = 0;
  double intercept = 0;
  double slope_error = 0;      // standard error
  double intercept_error = 0;  // standard error
  // Half the width of the slope's 95 % confidence interval, by Student's t with
  // points − 2 degrees of freedom: as if the points erred independently.
  double slope_within = 0;
  double r_squared = 0;  // 1 where all y are equal
};

// y ≈ intercept + slope·x by ordinary least squares. InvalidArgument: as many y
// as x are needed, at least 3, finite, and not all x the same.
absl::StatusOr<LineFit> FitLine(absl::Span<const double> x,
                                absl::Span<const double> y);

// t such that |T| <= t with the given probability, 0 < p < 1, for Student's t
// distribution with `freedom` >= 1 degrees of freedom.
double StudentTwoSided(double p, double freedom);

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_LEAST_SQUARES_H_
