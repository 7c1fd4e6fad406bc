#include "common/analysis/reference.h"

#include <algorithm>
#include <cmath>
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
  double largest = 0;
  for (int64_t n = 0; n < rows.rows(); ++n) {
    largest = std::max(largest, std::sqrt(rows.squared_norm(n)));
  }
  if (minimum.margin_bound <= options.max_margin.smallest_margin * largest) {
    result.verdict = Separability::kNotSeparable;
    result.margin_bound = minimum.margin_bound;
    result.loss = minimum.loss;
    if (minimum.outcome == LogisticMinimum::Outcome::kFound) {
      result.w = std::move(minimum.w);
    }
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
  // If it is not separable after all, the limit would be the minimum, which was
  // not found.
  return result;
}

std::string ToString(const Reference& reference) {
  switch (reference.verdict) {
    case Separability::kSeparable:
      return absl::StrFormat("separable with margin %.6g", reference.margin);
    case Separability::kNotSeparable:
      return absl::StrFormat(
          "not separable by any margin%s; least logistic loss %.6g%s",
          reference.margin_bound > 0
              ? absl::StrFormat(" above %.1e", reference.margin_bound)
              : "",
          reference.loss, reference.w.empty() ? ", not attained" : "");
    default:
      return absl::StrFormat(
          "undecided: it may be separable by a margin below %.3g, or not at "
          "all",
          reference.margin_bound);
  }
}

}  // namespace parley
