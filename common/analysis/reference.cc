#include "common/analysis/reference.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"

namespace parley {

absl::StatusOr<Reference> FindReference(const SignedRows& rows,
                                        absl::Span<const double> weights,
                                        const ReferenceOptions& options,
                                        absl::FunctionRef<bool()> keep_going) {
  PARLEY_ASSIGN_OR_RETURN(
      LogisticMinimum minimum,
      FindLogisticMinimum(rows, weights, options.minimum, keep_going));
  Reference result;
  if (minimum.outcome == LogisticMinimum::Outcome::kFound) {
    result.verdict = Separability::kNotSeparable;
    result.w = std::move(minimum.w);
    result.margin_bound = minimum.margin_bound;
    result.loss = minimum.loss;
    return result;
  }
  PARLEY_ASSIGN_OR_RETURN(MaxMargin svm,
                          FindMaxMargin(rows, options.max_margin, keep_going));
  result.margin_bound = std::min(minimum.margin_bound, svm.margin_bound);
  if (svm.verdict == Separability::kSeparable) {
    result.verdict = Separability::kSeparable;
    result.w = std::move(svm.w);
    result.margin = svm.margin;
  }
  // Not separable, but without the minimum that would be the limit: undecided.
  return result;
}

std::string ToString(const Reference& reference) {
  switch (reference.verdict) {
    case Separability::kSeparable:
      return absl::StrFormat("separable with margin %.6g", reference.margin);
    case Separability::kNotSeparable:
      return absl::StrFormat(
          "not separable by any margin above %.1e; least logistic loss %.6g",
          reference.margin_bound, reference.loss);
    default:
      return absl::StrFormat(
          "undecided: it may be separable by a margin below %.3g, or not at "
          "all",
          reference.margin_bound);
  }
}

}  // namespace parley
