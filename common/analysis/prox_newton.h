// Newton's method for the problem of exact_prox.h, from a point near its
// solution. Where rows are many or alike, coordinate by coordinate gets near
// soon and then hardly any further; there this takes a few steps.
#ifndef PARLEY_COMMON_ANALYSIS_PROX_NEWTON_H_
#define PARLEY_COMMON_ANALYSIS_PROX_NEWTON_H_

#include "absl/types/span.h"
#include "common/analysis/signed_rows.h"

namespace parley {

// Solves r_n = log a_n + ln λ + z_n·w = 0 with w = v + Σ a_n·z_n, in place, by
// Newton's method on the dual objective Σ a_n·(log a_n + ln λ − 1) + ½‖w‖². `a`
// has one number >= 0 a row; those of 0 stay so. Steps are shortened to keep
// a_n > 0, and taken for as long as one lowers the objective or halves
// Σ a_n·(e^−r_n − 1 + r_n), a bound on ½‖w − w*‖². Leaves `a` as it is where
// the rows that matter are too many for a dense matrix.
void ProxNewton(const SignedRows& rows, double log_lambda,
                absl::Span<const double> v, absl::Span<double> a);

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_PROX_NEWTON_H_
