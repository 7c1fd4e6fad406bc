// How far the clients' own data pulls apart: the spread of the directions that
// each would go in alone.
#ifndef PARLEY_COMMON_ANALYSIS_DIRECTION_SPREAD_H_
#define PARLEY_COMMON_ANALYSIS_DIRECTION_SPREAD_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/analysis/reference.h"
#include "common/analysis/signed_rows.h"
#include "common/base/executor.h"

namespace parley {

struct DirectionSpread {
  // DirectionGap between a client's own max-margin direction and that of all
  // rows, over the clients whose rows are separable; NaN where none are.
  double mean = 0;
  double max = 0;
  int64_t separable = 0;      // clients in `mean` and `max`
  int64_t not_separable = 0;  // left out
  int64_t undecided = 0;      // left out
};

// `direction`: of all rows. Splits the clients over the threads of `executor`
// (null: the caller's alone); the result does not depend on them. Cancelled:
// `keep_going`, asked from any thread, said false. Others as FindReference.
absl::StatusOr<DirectionSpread> SpreadOfDirections(
    absl::Span<const SignedRows> clients, absl::Span<const double> direction,
    const ReferenceOptions& options, Executor* executor,
    absl::FunctionRef<bool()> keep_going);

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_DIRECTION_SPREAD_H_
