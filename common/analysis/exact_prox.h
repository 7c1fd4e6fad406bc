// The local problem of the parallel projection method and of Modified Local-GD
// (arXiv 2412.07971), solved exactly.
#ifndef PARLEY_COMMON_ANALYSIS_EXACT_PROX_H_
#define PARLEY_COMMON_ANALYSIS_EXACT_PROX_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/analysis/row_products.h"
#include "common/analysis/signed_rows.h"

namespace parley {

struct ExactProxOptions {
  // ln λ; −1000 is as good as −1: nothing is computed from λ itself.
  double log_lambda = -100;
  // Of the margins z·w at the solution, as a share of 1 + |ln λ|. > 0.
  double tolerance = 1e-12;
  int64_t max_epochs = 100000;  // passes over the rows, >= 1
  // Numbers that the passes may go over; max_epochs is cut down to that, but
  // not below 1,000. > 0.
  double max_work = 4e9;
};

// argmin over w of Σ_n exp(−z_n·w) + (λ/2)·‖w − v‖², for one v after another.
// Each is found from the start, a = 0: what comes out depends on v alone. Where
// passes over the rows bring little, Newton's method helps (prox_newton.h).
// Thread-compatible.
//
// At the solution w = v + Σ a_n·z_n with a_n = exp(−z_n·w)/λ. Coordinate by
// coordinate log a_n + ln λ + z_n·w = 0 is solved for log a_n, by Newton's
// method for the Wright omega function, so that a_n may be as small as it
// likes. As λ → 0 w/ln(1/λ) tends to the projection of v/ln(1/λ) onto
// {u : z_n·u >= 1 for all n}.
//
// Where no hyperplane separates the rows there is no such u, and the a_n grow
// as 1/λ. The first Solve finds that out; w is found without them, then
// (prox_primal.h), for as long as λ is not lost beside the losses.
class ExactProx {
 public:
  // Rows of zeros add a constant to the loss, and nothing else.
  ExactProx(SignedRows rows, const ExactProxOptions& options);

  // v becomes w; `features` numbers. Cancelled: `keep_going`, asked after each
  // pass, said false. ResourceExhausted: max_epochs were not enough.
  // FailedPrecondition: nothing separates the rows, and ln λ is too small for
  // that. v is as it was, then.
  absl::Status Solve(
      absl::Span<double> v,
      absl::FunctionRef<bool()> keep_going = [] { return true; });

  // Passes of the last Solve, or Newton's steps where nothing separates the
  // rows.
  int64_t epochs() const { return epochs_; }
  const SignedRows& rows() const { return rows_; }

 private:
  absl::Status SolveDual(absl::Span<double> v,
                         absl::FunctionRef<bool()> keep_going);
  absl::Status SolvePrimal(absl::Span<double> v,
                           absl::FunctionRef<bool()> keep_going);

  const SignedRows rows_;
  const ExactProxOptions options_;
  RowProducts products_;
  std::vector<double> a_;
  int64_t epochs_ = 0;
  // No hyperplane through the origin has a larger margin on the rows; nullopt
  // before the first Solve.
  std::optional<double> margin_bound_;
  double no_margin_ = 0;  // what counts as none
};

// ω with ω + ln ω = x (Corless and Jeffrey 2002), > 0 or, where it is smaller
// than any double, 0.
double WrightOmega(double x);

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_EXACT_PROX_H_
