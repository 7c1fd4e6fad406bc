// The mean of each coordinate over the updates without the largest and the
// smallest ones, unweighted (Yin et al. 2018, definition 2). Of n updates
// floor(trim·n) are cut at each end; at least one is left, as trim < 1/2.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "server/strategies/order_statistics.h"
#include "server/strategies/strategy.h"

namespace parley {
namespace {

class TrimmedMean final : public Strategy, public Combiner {
 public:
  explicit TrimmedMean(double trim) : trim_(trim) {}

  double Weight(const v1::UpdateReady&) const override { return 1; }
  const Combiner* combiner() const override { return this; }
  void Combine(absl::Span<const UpdateView> updates, int64_t begin, int64_t end,
               Executor* executor, double* out) const override {
    // The little more makes 0.29 · 100 the 29 that it means.
    const int64_t cut = static_cast<int64_t>(
        std::floor(trim_ * static_cast<double>(updates.size()) + 1e-9));
    const auto statistic = [cut](absl::Span<double> x) {
      // Sorted, so that the sum does not depend on the order of the updates.
      std::sort(x.begin(), x.end());
      const auto first = x.begin() + cut, last = x.end() - cut;
      return std::accumulate(first, last, 0.0) /
             static_cast<double>(last - first);
    };
    PerCoordinate(updates, begin, end, executor, statistic, out);
  }

 private:
  const double trim_;
};

}  // namespace

StrategyOr MakeTrimmedMean(const v1::Aggregation& config) {
  return std::make_unique<TrimmedMean>(config.trimmed_mean().trim());
}

}  // namespace parley
