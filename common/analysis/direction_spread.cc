#include "common/analysis/direction_spread.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "common/analysis/direction.h"
#include "common/base/status_macros.h"

namespace parley {

absl::StatusOr<DirectionSpread> SpreadOfDirections(
    absl::Span<const SignedRows> clients, absl::Span<const double> direction,
    const ReferenceOptions& options, Executor* executor,
    absl::FunctionRef<bool()> keep_going) {
  std::vector<absl::StatusOr<Reference>> found(clients.size(), Reference());
  ParallelFor(executor, static_cast<int64_t>(clients.size()), 1,
              [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                  const int64_t rows = clients[i].rows();
                  found[i] = FindReference(
                      clients[i],
                      std::vector<double>(rows, 1 / static_cast<double>(rows)),
                      options, keep_going);
                  if (!found[i].ok()) return;  // is told below
                  if (found[i]->verdict != Separability::kSeparable) continue;
                  // Of the direction its gap is kept.
                  found[i]->w = {DirectionGap(found[i]->w, direction)};
                }
              });
  DirectionSpread spread;
  double sum = 0;
  for (absl::StatusOr<Reference>& client : found) {
    PARLEY_ASSIGN_OR_RETURN(const Reference own, std::move(client));
    switch (own.verdict) {
      case Separability::kSeparable:
        ++spread.separable;
        sum += own.w[0];
        spread.max = std::max(spread.max, own.w[0]);
        break;
      case Separability::kNotSeparable:
        ++spread.not_separable;
        break;
      case Separability::kUndecided:
        ++spread.undecided;
        break;
    }
  }
  if (spread.separable == 0) {
    spread.mean = spread.max = std::numeric_limits<double>::quiet_NaN();
  } else {
    spread.mean = sum / static_cast<double>(spread.separable);
  }
  return spread;
}

}  // namespace parley
