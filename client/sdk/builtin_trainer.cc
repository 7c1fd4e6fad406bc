#include "client/sdk/builtin_trainer.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/analysis/direction.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"

namespace parley {
namespace {

constexpr char kStepSize[] = "step_size";
constexpr int64_t kEvaluationRows = 1024;  // at once: bounds the scratch memory

// Says how far the task is; false where it is wanted no more.
bool GoesOn(const TrainTask& task, int64_t done, int64_t of) {
  if (task.fraction != nullptr) {
    task.fraction->store(static_cast<double>(done) / static_cast<double>(of),
                         std::memory_order_relaxed);
  }
  return task.cancelled == nullptr || !*task.cancelled;
}

template <typename T>
class BuiltinTrainer final : public Trainer {
 public:
  // `prox` may be null.
  BuiltinTrainer(BuiltinTrainerOptions<T> options,
                 std::unique_ptr<ExactProx> prox)
      : options_(std::move(options)),
        source_(options_.train),
        prox_(std::move(prox)) {}

  absl::Status Accepts(const ParameterSpec& spec) const override {
    const ParameterSpec& own = options_.model->spec();
    if (spec == own) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("the coordinator's model is ", spec.ToString(),
                     " but this client's is ", own.ToString()));
  }

  absl::StatusOr<TrainResult> Train(const TrainTask& task,
                                    ParameterVector& parameters) override {
    if (prox_ != nullptr) return SolveProx(task, parameters);
    const int64_t steps = PlannedSteps(options_.solver, source_.rows());
    double step_size;
    if (auto it = task.values.find(kStepSize); it != task.values.end()) {
      step_size = it->second;
    } else {
      step_size = options_.step_size(task.round, steps);
    }
    if (!std::isfinite(step_size) || step_size <= 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("the step size is ", step_size, "; it must be > 0"));
    }
    Rng rng(options_.seed, task.client, task.round, "batches");
    int64_t taken = 0;
    PARLEY_ASSIGN_OR_RETURN(
        const LocalResult local,
        Solve<T>(*options_.model, options_.solver, step_size, source_, rng,
                 parameters.As<T>(), [&task, &taken, steps] {
                   return GoesOn(task, taken++, steps);
                 }));
    if (!std::isfinite(local.mean_loss)) {
      return absl::InternalError(
          absl::StrCat("training diverged: the loss is ", local.mean_loss,
                       "; a smaller step size than ", step_size, " may help"));
    }
    TrainResult result;
    result.examples = static_cast<double>(source_.rows());
    result.local_steps = local.steps;
    result.metrics = {{"loss", local.mean_loss},
                      {"first_loss", local.first_loss}};
    return result;
  }

  absl::StatusOr<TrainResult> Evaluate(
      const TrainTask& task, const ParameterVector& parameters) override {
    const Dataset<T>& data = options_.held_out;
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
      sums.Add(options_.model->Evaluate(parameters.As<T>(),
                                        data.Slice(row, end).All(), workspace));
    }
    TrainResult result;
    result.examples = sums.examples;
    result.metrics["loss"] = sums.loss / sums.examples;
    if (options_.model->target_kind() != TargetKind::kReal) {
      result.metrics["accuracy"] = sums.correct / sums.examples;
    }
    return result;
  }

 private:
  absl::StatusOr<TrainResult> SolveProx(const TrainTask& task,
                                        ParameterVector& parameters) {
    const absl::Span<double> w = parameters.As<double>();
    TrainResult result;
    result.examples = static_cast<double>(source_.rows());
    const std::vector<double> shares(source_.rows(), 1 / result.examples);
    result.metrics["log_loss"] =
        LogLoss(MarginLoss::kExponential, prox_->rows().Margins(w), shares);
    PARLEY_RETURN_IF_ERROR(prox_->Solve(
        w, [&task] { return task.cancelled == nullptr || !*task.cancelled; }));
    result.local_steps = prox_->epochs();
    return result;
  }

  const BuiltinTrainerOptions<T> options_;
  DatasetSource<T> source_;
  const std::unique_ptr<ExactProx> prox_;  // null: takes steps
};

// Null where it is not wanted.
template <typename T>
absl::StatusOr<std::unique_ptr<ExactProx>> MakeProx(
    const BuiltinTrainerOptions<T>& options) {
  if (!options.exact_prox) return nullptr;
  if constexpr (std::is_same_v<T, double>) {
    PARLEY_ASSIGN_OR_RETURN(SignedRows rows, SignedRows::Create(options.train));
    return std::make_unique<ExactProx>(std::move(rows), *options.exact_prox);
  } else {
    return absl::InvalidArgumentError(
        "exact_prox needs parameters in double: precision FLOAT64");
  }
}

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
  PARLEY_ASSIGN_OR_RETURN(std::unique_ptr<ExactProx> prox, MakeProx(options));
  return std::make_unique<BuiltinTrainer<T>>(std::move(options),
                                             std::move(prox));
}

template absl::StatusOr<std::unique_ptr<Trainer>> MakeBuiltinTrainer(
    BuiltinTrainerOptions<float>);
template absl::StatusOr<std::unique_ptr<Trainer>> MakeBuiltinTrainer(
    BuiltinTrainerOptions<double>);

}  // namespace parley
