// Aggregates that look at one coordinate of all updates at a time.
#ifndef PARLEY_SERVER_STRATEGIES_ORDER_STATISTICS_H_
#define PARLEY_SERVER_STRATEGIES_ORDER_STATISTICS_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "common/base/executor.h"
#include "server/strategies/update_view.h"

namespace parley {

// out[i - begin] = statistic(the updates' elements i, in cohort order) for each
// i of [begin, end), in parallel. The statistic may reorder its argument.
void PerCoordinate(absl::Span<const UpdateView> updates, int64_t begin,
                   int64_t end, Executor* executor,
                   absl::FunctionRef<double(absl::Span<double>)> statistic,
                   double* out);

}  // namespace parley

#endif  // PARLEY_SERVER_STRATEGIES_ORDER_STATISTICS_H_
