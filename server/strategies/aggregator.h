// The aggregate of one round: (sum, weight, count), made update by update.
#ifndef PARLEY_SERVER_STRATEGIES_AGGREGATOR_H_
#define PARLEY_SERVER_STRATEGIES_AGGREGATOR_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "common/base/executor.h"
#include "common/model/parameters.h"
#include "server/strategies/strategy.h"

namespace parley {

// So many pending updates are worth a pass over the sum: it is the sum, in
// float64, that costs memory traffic.
inline constexpr size_t kFoldAtOnce = 4;

// Accumulate each counted update in cohort order, Settle now and then, Report,
// which empties it for the next round. An update's numbers must stay in place
// until the next Settle, Report or Reset; a round whose updates all do needs no
// sum at all. Memory: at most one float64 array of the spec's elements, kept
// from round to round. Thread-compatible; borrows strategy and executor.
//
// The result does not depend on when Settle is called: each element's terms are
// added in the order accumulated.
//
// Tensors of rule COPY take the value of the first update, whatever the
// strategy; this class alone sees to that.
class Aggregator {
 public:
  // `spec` has no LOCAL tensors. A null executor: all on the caller's thread.
  Aggregator(const Strategy* strategy, const ParameterSpec& spec,
             Executor* executor);

  // The view of an update whose numbers lie at `data`.
  UpdateView View(const v1::UpdateReady& header, v1::Encoding encoding,
                  const char* data) const;

  void Accumulate(const UpdateView& update);

  // False: the strategy combines all updates at once, so that there is no
  // Settle.
  bool settles() const { return strategy_->combiner() == nullptr; }
  // Folds the pending updates into the sum.
  void Settle();

  // Adds another partial aggregate of the same strategy and spec, as if its
  // updates had come after this one's (up to rounding).
  void MergeWith(Aggregator&& other);

  // Hands the aggregate out by range, in parallel, each element once: `change`
  // is what the strategy made of the elements from `begin` on of MEAN tensors,
  // and the first client's value for COPY tensors. Afterwards it is empty.
  // count() > 0.
  void Report(absl::FunctionRef<void(MergeRule rule, int64_t begin,
                                     absl::Span<double> change)>
                  take);

  // Forgets all updates.
  void Reset();

  int64_t count() const { return count_; }
  double weight() const { return weight_; }

 private:
  // Neighbouring tensors of one rule. Kernels may round the ends of an array
  // differently from its middle, so work is split at fixed places within a
  // segment, never across two.
  struct Segment {
    MergeRule rule;
    int64_t begin, end;
  };

  // Adds the pending updates' elements [begin, end), which lie in the segment,
  // to x[0..end-begin).
  void Fold(const Segment& segment, int64_t begin, int64_t end,
            double* x) const;
  bool settled() const {
    return count_ > static_cast<int64_t>(pending_.size());
  }
  double* sum();
  // Calls f for blocks of the segment that fit the cache, in parallel.
  void ForBlocks(const Segment& segment,
                 absl::FunctionRef<void(int64_t begin, int64_t end)> f) const;

  const Strategy* const strategy_;
  Executor* const executor_;
  const int64_t elements_;
  std::vector<Segment> segments_;

  // Made when first needed; all zero while no update is settled.
  std::optional<ParameterVector> sum_;
  double weight_ = 0;
  int64_t count_ = 0;
  std::vector<UpdateView> pending_;  // accumulated, not settled
};

}  // namespace parley

#endif  // PARLEY_SERVER_STRATEGIES_AGGREGATOR_H_
