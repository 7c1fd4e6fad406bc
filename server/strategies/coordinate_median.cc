// The median of each coordinate over the updates, unweighted (Yin et al. 2018,
// definition 1); of an even number the mean of the middle two.
#include <algorithm>

#include "server/strategies/order_statistics.h"
#include "server/strategies/strategy.h"

namespace parley {
namespace {

double Median(absl::Span<double> x) {
  const auto middle = x.begin() + x.size() / 2;
  std::nth_element(x.begin(), middle, x.end());
  if (x.size() % 2 == 1) return *middle;
  return (*std::max_element(x.begin(), middle) + *middle) / 2;
}

class CoordinateMedian final : public Strategy, public Combiner {
 public:
  double Weight(const v1::UpdateReady&) const override { return 1; }
  const Combiner* combiner() const override { return this; }
  void Combine(absl::Span<const UpdateView> updates, int64_t begin, int64_t end,
               Executor* executor, double* out) const override {
    PerCoordinate(updates, begin, end, executor, Median, out);
  }
};

}  // namespace

StrategyOr MakeCoordinateMedian(const v1::Aggregation&) {
  return std::make_unique<CoordinateMedian>();
}

}  // namespace parley
