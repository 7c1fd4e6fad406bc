// The aggregate of one round: (sum, weight, count), made update by update.
#ifndef PARLEY_SERVER_STRATEGIES_AGGREGATOR_H_
#define PARLEY_SERVER_STRATEGIES_AGGREGATOR_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "common/base/executor.h"
#include "common/model/parameters.h"
#include "server/strategies/strategy.h"

namespace parley {

// Accumulate each counted update in cohort order, then Report, which empties it
// for the next round. Memory: one float64 array of the spec's elements, kept
// from round to round. Thread-compatible; borrows strategy and executor.
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

  // True: updates must stay in place until Report or Reset.
  bool keeps_updates() const { return strategy_->combiner() != nullptr; }

  void Accumulate(const UpdateView& update);

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

  const Strategy* const strategy_;
  Executor* const executor_;
  std::vector<Segment> segments_;

  ParameterVector sum_;  // all zero while count_ is 0
  double weight_ = 0;
  int64_t count_ = 0;
  std::vector<UpdateView> kept_;  // where the strategy combines
};

}  // namespace parley

#endif  // PARLEY_SERVER_STRATEGIES_AGGREGATOR_H_
