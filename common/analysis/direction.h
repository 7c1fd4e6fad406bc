// What a linear model is measured by on its way to a direction.
#ifndef PARLEY_COMMON_ANALYSIS_DIRECTION_H_
#define PARLEY_COMMON_ANALYSIS_DIRECTION_H_

#include "absl/types/span.h"

namespace parley {

// ‖w‖, without overflow or underflow on the way.
double Norm(absl::Span<const double> w);

// ‖a/‖a‖ − b/‖b‖‖, from 0 to 2; NaN where one of them is 0. The measure of
// arXiv 2412.07971 (theorem 2).
double DirectionGap(absl::Span<const double> a, absl::Span<const double> b);

// ‖w − to‖/‖to‖.
double Distance(absl::Span<const double> w, absl::Span<const double> to);

enum class MarginLoss {
  kLogistic,     // log(1 + exp(−m))
  kExponential,  // exp(−m)
};

// The logarithm of Σ weight_n·loss(margin_n), which stays finite where the sum
// itself would round to 0 (or overflow). Weights are > 0.
double LogLoss(MarginLoss loss, absl::Span<const double> margins,
               absl::Span<const double> weights);

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_DIRECTION_H_
