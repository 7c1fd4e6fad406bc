#include "server/strategies/order_statistics.h"

#include <algorithm>
#include <vector>

namespace parley {

void PerCoordinate(absl::Span<const UpdateView> updates, int64_t begin,
                   int64_t end, Executor* executor,
                   absl::FunctionRef<double(absl::Span<double>)> statistic,
                   double* out) {
  // Blocks of all updates together that stay in the cache: 32,768 doubles.
  const int64_t count = static_cast<int64_t>(updates.size());
  const int64_t block = std::clamp<int64_t>(32768 / count, 16, 4096);
  ParallelFor(executor, end - begin, block, [&](int64_t from, int64_t to) {
    std::vector<double> rows(count * block);
    std::vector<double> column(count);
    for (int64_t b = from; b < to; b += block) {
      const int64_t n = std::min(block, to - b);
      for (int64_t k = 0; k < count; ++k) {
        DecodeRange(updates[k], begin + b, begin + b + n, &rows[k * block]);
      }
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t k = 0; k < count; ++k) column[k] = rows[k * block + i];
        out[b + i] = statistic(absl::MakeSpan(column));
      }
    }
  });
}

}  // namespace parley
