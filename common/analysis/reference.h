// What centralized gradient descent on some rows tends to: the limit that the
// distributed algorithms are measured against.
#ifndef PARLEY_COMMON_ANALYSIS_REFERENCE_H_
#define PARLEY_COMMON_ANALYSIS_REFERENCE_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/analysis/logistic_minimum.h"
#include "common/analysis/max_margin.h"
#include "common/analysis/signed_rows.h"

namespace parley {

struct ReferenceOptions {
  // max_margin.smallest_margin decides here too what counts as none.
  MaxMarginOptions max_margin = {};
  LogisticMinimumOptions minimum = {};
};

// Never a wrong one: each verdict but kUndecided comes with its proof.
struct Reference {
  // kSeparable: `w` is the hard-margin SVM, and only its direction is a limit.
  // kNotSeparable: `w` is the minimum of the logistic loss; empty where it has
  // none, as when a feature occurs with one label alone and w grows along it
  // for ever.
  Separability verdict = Separability::kUndecided;
  std::vector<double> w = {};
  double margin = 0;        // of the SVM
  double margin_bound = 0;  // no hyperplane through the origin has more
  double loss = 0;          // not separable: the minimum, or the least found
};

// Newton's method first, which leads a separable set to a separating w and any
// other towards its minimum, and then the SVM where there can be one. Weights
// as of FindLogisticMinimum: they move the minimum, not the direction. Errors
// as the two.
absl::StatusOr<Reference> FindReference(
    const SignedRows& rows, absl::Span<const double> weights,
    const ReferenceOptions& options = {},
    absl::FunctionRef<bool()> keep_going = [] { return true; });

// "separable with margin 0.31", for people.
std::string ToString(const Reference& reference);

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_REFERENCE_H_
