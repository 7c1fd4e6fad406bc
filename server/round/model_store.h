// The run's model, the sum of the round's updates, and how the one becomes the
// next of the other.
#ifndef PARLEY_SERVER_ROUND_MODEL_STORE_H_
#define PARLEY_SERVER_ROUND_MODEL_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/executor.h"
#include "common/model/parameters.h"
#include "parley/v1/run.pb.h"
#include "server/round/staging.h"
#include "server/store/checkpoint.h"
#include "server/strategies/aggregator.h"
#include "server/strategies/server_optimizer.h"
#include "server/strategies/strategy.h"

namespace parley {

// Memory: the model and at most a float64 sum of its size, whatever the number
// of clients, and what the optimizer keeps. Thread-compatible; model() may be
// read by many while Aggregate does not run.
class ModelStore {
 public:
  // `spec` has no LOCAL tensors; `start` is of it. InvalidArgument: the
  // strategy is unknown. A null executor: all on the caller's thread.
  static absl::StatusOr<std::unique_ptr<ModelStore>> Create(
      const v1::Aggregation& config, absl::Span<const CustomStrategy> custom,
      ParameterSpec spec, ParameterVector start, Executor* executor);

  const ParameterSpec& spec() const { return spec_; }
  // Shared with downloads under way, some of which may be stuck.
  std::shared_ptr<const ParameterVector> model() const { return model_; }
  // False once an Aggregate has failed.
  bool whole() const { return whole_; }

  // The update as the strategy weighs it.
  UpdateView View(const StagedUpdate& update) const;
  // The update counts, and must stay in place until the next Settle, Aggregate
  // or Discard.
  void Accumulate(const StagedUpdate& update);
  // False: there is no Settle, the strategy combines all updates at once.
  bool settles() const { return aggregator_.settles(); }
  // Adds what was accumulated to the sum.
  void Settle() { aggregator_.Settle(); }
  // Makes the model after `round`, from 1, in place, and returns its hash.
  // FailedPrecondition: it is not finite any more.
  absl::StatusOr<uint64_t> Aggregate(int64_t round);
  void Discard() { aggregator_.Reset(); }

  // Goes on in a copy: whoever reads the present one keeps it.
  void LeaveToReaders() {
    model_ = std::make_shared<ParameterVector>(model_->Clone());
  }

  // What a checkpoint holds; borrowed, valid until the next Aggregate.
  std::vector<CheckpointSection> Sections();
  absl::Status Restore(const CheckpointReader& checkpoint);

 private:
  ModelStore(std::unique_ptr<Strategy> strategy,
             std::unique_ptr<ServerOptimizer> optimizer, ParameterSpec spec,
             ParameterVector start, Executor* executor);
  template <typename T>
  bool Step(int64_t round);

  const std::unique_ptr<Strategy> strategy_;
  const std::unique_ptr<ServerOptimizer> optimizer_;
  const ParameterSpec spec_;
  Aggregator aggregator_;
  std::shared_ptr<ParameterVector> model_;
  bool whole_ = true;
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_MODEL_STORE_H_
