// Where the centralized logistic loss has its minimum, on data that no
// hyperplane separates: the comparator of Local-GD there.
#ifndef PARLEY_COMMON_ANALYSIS_LOGISTIC_MINIMUM_H_
#define PARLEY_COMMON_ANALYSIS_LOGISTIC_MINIMUM_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "common/analysis/signed_rows.h"

namespace parley {

struct LogisticMinimumOptions {
  // Of the gradient's norm, as a share of Σ |slope_n|·‖z_n‖, what it would be
  // if nothing cancelled. 0 < tolerance < 1.
  double tolerance = 1e-13;
  int64_t max_steps = 200;  // Newton's, >= 1
  // >= 0. Ends, kUndecided, once margin_bound is as small.
  double enough_bound = 0;
};

struct LogisticMinimum {
  enum class Outcome {
    kFound,
    kNone,       // w separates the rows: the loss falls for ever along it
    kUndecided,  // the steps ran out, or rounding stopped them
  };
  Outcome outcome = Outcome::kUndecided;
  std::vector<double> w = {};  // the last iterate
  double loss = 0;
  double gradient_norm = 0;
  // No unit vector has a larger margin on all rows: the slopes at w are an α
  // >= 0 of MarginBound (max_margin.h).
  double margin_bound = 0;
  int64_t steps = 0;
};

// argmin Σ weight_n·log(1 + exp(−z_n·w)) by Newton's method with damping
// (Levenberg and Marquardt), its steps by conjugate gradients. Starts at 0, so
// that of several minima it is one in the span of the rows. InvalidArgument:
// weights that are not one a row, > 0 and finite, or an option out of range.
// Cancelled: `keep_going`, asked before each step, said false.
absl::StatusOr<LogisticMinimum> FindLogisticMinimum(
    const SignedRows& rows, absl::Span<const double> weights,
    const LogisticMinimumOptions& options = {},
    absl::FunctionRef<bool()> keep_going = [] { return true; });

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_LOGISTIC_MINIMUM_H_
