#include "server/round/model_store.h"

#include <atomic>
#include <utility>

#include "common/base/status_macros.h"
#include "common/kernels/kernels.h"

namespace parley {

absl::StatusOr<std::unique_ptr<ModelStore>> ModelStore::Create(
    const v1::Aggregation& config, absl::Span<const CustomStrategy> custom,
    ParameterSpec spec, ParameterVector start, Executor* executor) {
  PARLEY_ASSIGN_OR_RETURN(auto strategy, MakeStrategy(config, custom));
  auto optimizer = MakeServerOptimizer(config, start);
  return std::unique_ptr<ModelStore>(
      new ModelStore(std::move(strategy), std::move(optimizer), std::move(spec),
                     std::move(start), executor));
}

ModelStore::ModelStore(std::unique_ptr<Strategy> strategy,
                       std::unique_ptr<ServerOptimizer> optimizer,
                       ParameterSpec spec, ParameterVector start,
                       Executor* executor)
    : strategy_(std::move(strategy)),
      optimizer_(std::move(optimizer)),
      spec_(std::move(spec)),
      aggregator_(strategy_.get(), spec_, executor),
      model_(std::make_shared<ParameterVector>(std::move(start))) {}

UpdateView ModelStore::View(const StagedUpdate& update) const {
  // The machine takes updates of one payload: the model's change.
  return aggregator_.View(update.header(),
                          update.header().payloads(0).encoding(),
                          update.payload(0));
}

void ModelStore::Accumulate(const StagedUpdate& update) {
  aggregator_.Accumulate(View(update));
}

template <typename T>
bool ModelStore::Step(int64_t round) {
  std::atomic<bool> finite = true;
  const absl::Span<T> model = model_->As<T>();
  aggregator_.Report(
      [&](MergeRule rule, int64_t begin, absl::Span<double> change) {
        if (rule == MergeRule::kCopy) {
          for (size_t i = 0; i < change.size(); ++i) {
            model[begin + i] = static_cast<T>(change[i]);
          }
        } else {
          optimizer_->Step(round, begin, change, *model_);
        }
        if (!KernelsFor<T>().all_finite(static_cast<int64_t>(change.size()),
                                        &model[begin])) {
          finite = false;
        }
      });
  return finite;
}

absl::StatusOr<uint64_t> ModelStore::Aggregate(int64_t round) {
  whole_ = spec_.dtype() == DType::kFloat32 ? Step<float>(round)
                                            : Step<double>(round);
  if (!whole_) {
    return absl::FailedPreconditionError(
        "it has numbers that are not finite: the training diverged; smaller "
        "steps (local.step_size, or of aggregation's optimizer) may help");
  }
  return model_->Hash();
}

std::vector<CheckpointSection> ModelStore::Sections() {
  std::vector<CheckpointSection> sections = {{kModelSection, model_.get()}};
  for (const NamedArray& array : optimizer_->state()) {
    sections.push_back({array.name, array.values});
  }
  return sections;
}

absl::Status ModelStore::Restore(const CheckpointReader& checkpoint) {
  if (checkpoint.spec() != spec_) {
    return absl::InvalidArgumentError("the checkpoint is of another model");
  }
  PARLEY_RETURN_IF_ERROR(checkpoint.Read(kModelSection, *model_));
  for (const NamedArray& array : optimizer_->state()) {
    PARLEY_RETURN_IF_ERROR(checkpoint.Read(array.name, *array.values));
  }
  return absl::OkStatus();
}

}  // namespace parley
