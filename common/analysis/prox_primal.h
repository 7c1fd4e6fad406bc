// The problem of exact_prox.h on rows that no hyperplane separates.
#ifndef PARLEY_COMMON_ANALYSIS_PROX_PRIMAL_H_
#define PARLEY_COMMON_ANALYSIS_PROX_PRIMAL_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/analysis/signed_rows.h"

namespace parley {

// v becomes argmin over w of Σ_n exp(−z_n·w) + (λ/2)·‖w − v‖², by Newton's
// method on w, and the steps that it took are returned. Ends where a step has a
// norm of `tolerance`·(1 + |ln λ|), or where rounding lets it get no nearer.
// Works for a λ that double precision tells from nothing beside the curvature
// of the losses, so not for a tiny one. Cancelled: `keep_going`, asked again
// and again, said false. FailedPrecondition: rounding stopped it before a step
// had the norm 1e-6·(1 + |ln λ|), or it did not end in 500 steps. v is as it
// was, then.
absl::StatusOr<int64_t> ProxPrimal(const SignedRows& rows, double log_lambda,
                                   double tolerance, absl::Span<double> v,
                                   absl::FunctionRef<bool()> keep_going);

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_PROX_PRIMAL_H_
