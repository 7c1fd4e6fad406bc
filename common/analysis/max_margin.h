// The hard-margin SVM without bias, to whose direction Local-GD converges on
// separable data (arXiv 2412.07971), with a proof of what was found.
#ifndef PARLEY_COMMON_ANALYSIS_MAX_MARGIN_H_
#define PARLEY_COMMON_ANALYSIS_MAX_MARGIN_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "common/analysis/signed_rows.h"

namespace parley {

struct MaxMarginOptions {
  // Of the certificate, relative: 0 < tolerance < 1.
  double tolerance = 1e-9;
  // A margin below this share of the largest ‖z‖ counts as none. > 0.
  double smallest_margin = 1e-9;
  int64_t max_epochs = 100000;  // passes over the rows, >= 1
  uint64_t seed = 1;            // of the order of the rows
};

enum class Separability {
  kSeparable,     // w is the answer, within the tolerance
  kNotSeparable,  // no hyperplane through the origin has a margin >
                  // margin_bound
  kUndecided,     // the epochs ran out first
};

struct MaxMargin {
  Separability verdict = Separability::kUndecided;
  // argmin ‖w‖ with z·w >= 1 for all rows, `features` numbers, scaled so that
  // the smallest z·w is 1. Empty unless separable.
  std::vector<double> w = {};
  // Of the unit normal w/‖w‖: min z·w / ‖w‖; 0 unless separable.
  double margin = 0;
  // No unit vector has a larger margin: ‖Σ αz‖ / Σ α, which holds for any
  // α >= 0, found by whatever means.
  double margin_bound = 0;
  std::vector<double> alpha = {};  // one a row, >= 0; > 0: support vectors
  int64_t epochs = 0;
};

// Dual coordinate descent, α_n ← max(0, α_n − (z_n·w − 1)/‖z_n‖²) with
// w = Σ α_n z_n (Hsieh et al. 2008, without the upper bound), in random order
// and with shrinking. Over the Gram matrix where there are fewer rows than
// numbers in a row. kSeparable means margin >= (1 − tolerance)·margin_bound.
// InvalidArgument: a row of zeros, which no hyperplane separates, or an option
// out of range. Cancelled: `keep_going`, asked after each epoch, said false.
absl::StatusOr<MaxMargin> FindMaxMargin(
    const SignedRows& rows, const MaxMarginOptions& options = {},
    absl::FunctionRef<bool()> keep_going = [] { return true; });

// The bound on any margin that some α >= 0 proves: ‖Σ αz‖ / Σ α. One number a
// row, not all zero.
double MarginBound(const SignedRows& rows, absl::Span<const double> alpha);

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_MAX_MARGIN_H_
