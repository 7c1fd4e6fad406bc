#include "client/program/peer_evaluator.h"

#include <utility>

#include "common/base/log.h"

namespace parley {
namespace {

constexpr int kMostWaiting = 3;  // models

}  // namespace

PeerEvaluator::PeerEvaluator(v1::RunConfig config, Executor* work)
    : config_(std::move(config)), sequence_(work) {}

bool PeerEvaluator::Evaluates(int64_t round) const {
  const int64_t every = config_.evaluation().every();
  return evaluates() && every > 0 && round % every == 0;
}

void PeerEvaluator::Tell(std::optional<ParameterVector> model,
                         absl::AnyInvocable<void(Numbers) &&> tell) {
  if (model && waiting_ >= kMostWaiting) {
    model.reset();
    if (!said_.exchange(true)) {
      LogWarning(
          "evaluating takes longer than evaluation.every rounds here: not all "
          "of them are evaluated");
    }
  }
  if (model) ++waiting_;
  sequence_.Post(
      [this, model = std::move(model), tell = std::move(tell)]() mutable {
        Numbers numbers;
        if (model) {
          if (!stopped_) numbers = Evaluate(*model);
          model.reset();
          --waiting_;
        }
        std::move(tell)(std::move(numbers));
      });
}

PeerEvaluator::Numbers PeerEvaluator::Evaluate(const ParameterVector& model) {
  if (!std::exchange(tried_, true)) {
    auto evaluator = MakeTestEvaluator(config_, nullptr);
    if (evaluator.ok()) {
      evaluator_ = *std::move(evaluator);
    } else {
      LogWarning("the models are not evaluated here: ",
                 evaluator.status().message());
    }
  }
  return evaluator_ == nullptr ? Numbers() : evaluator_->Evaluate(model);
}

}  // namespace parley
