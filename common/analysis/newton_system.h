// The linear system of Newton's method on a linear model's loss.
#ifndef PARLEY_COMMON_ANALYSIS_NEWTON_SYSTEM_H_
#define PARLEY_COMMON_ANALYSIS_NEWTON_SYSTEM_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "common/analysis/signed_rows.h"

namespace parley {

// Solves (Σ c_n·z_n·z_nᵀ + diag(d))·x = b, c and d >= 0, by conjugate gradients
// from x = 0, until the residual's norm is `enough`. Less well where the matrix
// is flat in floating point along a search direction, or once `keep_going`,
// asked before each step, says no. Its preconditioner is the diagonal; and
// where that does not get there soon, and features are few enough, a Cholesky
// factor.
std::vector<double> SolveNewtonSystem(const SignedRows& rows,
                                      absl::Span<const double> c,
                                      absl::Span<const double> d,
                                      absl::Span<const double> b, double enough,
                                      absl::FunctionRef<bool()> keep_going);

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_NEWTON_SYSTEM_H_
