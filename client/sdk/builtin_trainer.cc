#include "client/sdk/builtin_trainer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/sdk/local_method.h"
#include "common/base/status_macros.h"

namespace parley {
namespace {

constexpr int64_t kEvaluationRows = 1024;  // at once: bounds the scratch memory

template <typename T>
class BuiltinTrainer final : public Trainer {
 public:
  BuiltinTrainer(std::shared_ptr<const Model<T>> model, Dataset<T> held_out,
                 std::unique_ptr<LocalMethod<T>> method)
      : model_(std::move(model)),
        held_out_(std::move(held_out)),
        method_(std::move(method)) {}

  absl::Status Accepts(const ParameterSpec& spec) const override {
    const ParameterSpec& own = model_->spec();
    if (spec == own) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("the coordinator's model is ", spec.ToString(),
                     " but this client's is ", own.ToString()));
  }

  absl::StatusOr<TrainResult> Train(const TrainTask& task,
                                    ParameterVector& parameters) override {
    return method_->Train(task, parameters.As<T>());
  }

  absl::StatusOr<TrainResult> Evaluate(
      const TrainTask& task, const ParameterVector& parameters) override {
    const Dataset<T>& data = held_out_;
    if (data.rows() == 0) {
      return absl::UnimplementedError(
          "this client holds no rows out to evaluate on (data.held_out)");
    }
    Workspace<T> workspace;
    EvalSums sums;
    for (int64_t row = 0; row < data.rows(); row += kEvaluationRows) {
      if (!GoesOn(task, row, data.rows())) {
        return absl::CancelledError("wanted no more");
      }
      const int64_t end = std::min(row + kEvaluationRows, data.rows());
      sums.Add(model_->Evaluate(parameters.As<T>(), data.Slice(row, end).All(),
                                workspace));
    }
    TrainResult result;
    result.examples = sums.examples;
    result.metrics["loss"] = sums.loss / sums.examples;
    if (model_->target_kind() != TargetKind::kReal) {
      result.metrics["accuracy"] = sums.correct / sums.examples;
    }
    return result;
  }

 private:
  const std::shared_ptr<const Model<T>> model_;  // as the options have it
  const Dataset<T> held_out_;
  const std::unique_ptr<LocalMethod<T>> method_;
};

}  // namespace

template <typename T>
absl::StatusOr<std::unique_ptr<Trainer>> MakeBuiltinTrainer(
    BuiltinTrainerOptions<T> options) {
  if (options.train.rows() == 0) {
    return absl::InvalidArgumentError("this client has no rows to train on");
  }
  for (const Dataset<T>* data : {&options.train, &options.held_out}) {
    if (data->rows() == 0) continue;
    if (data->features() != options.model->features()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "this client's data has ", data->features(),
          " features, the run's model ", options.model->features()));
    }
    if (const absl::Status fits = options.model->CheckInputs(data->All());
        !fits.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("this client's data does not fit: ", fits.message()));
    }
  }
  PARLEY_ASSIGN_OR_RETURN(std::unique_ptr<LocalMethod<T>> method,
                          MakeLocalMethod(options));
  return std::make_unique<BuiltinTrainer<T>>(
      std::move(options.model), std::move(options.held_out), std::move(method));
}

template absl::StatusOr<std::unique_ptr<Trainer>> MakeBuiltinTrainer(
    BuiltinTrainerOptions<float>);
template absl::StatusOr<std::unique_ptr<Trainer>> MakeBuiltinTrainer(
    BuiltinTrainerOptions<double>);

}  // namespace parley
