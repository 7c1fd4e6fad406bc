#include "client/sdk/local_method.h"

#include <cmath>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/analysis/direction.h"
#include "common/analysis/margin_descent.h"
#include "common/analysis/signed_rows.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "common/kernels/kernels.h"

namespace parley {
namespace {

constexpr char kStepSize[] = "step_size";
constexpr char kLogLoss[] = "log_loss";

// Of a linear model without a bias.
double MeanLogLoss(MarginLoss loss, const SignedRows& rows,
                   absl::Span<const double> w) {
  const std::vector<double> shares(rows.rows(),
                                   1 / static_cast<double>(rows.rows()));
  return LogLoss(loss, rows.Margins(w), shares);
}

template <typename T>
absl::StatusOr<double> StepSizeOf(const BuiltinTrainerOptions<T>& options,
                                  const TrainTask& task, int64_t steps) {
  const auto told = task.values.find(kStepSize);
  const double step_size = told == task.values.end()
                               ? options.step_size(task.round, steps)
                               : told->second;
  if (!std::isfinite(step_size) || step_size <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the step size is ", step_size, "; it must be > 0"));
  }
  return step_size;
}

template <typename T>
absl::StatusOr<TrainResult> ResultOf(const LocalResult& local, int64_t rows,
                                     double step_size, absl::Span<const T> w) {
  std::string wrong;
  if (!std::isfinite(local.mean_loss)) {
    wrong = absl::StrCat("the loss is ", local.mean_loss);
  } else if (!KernelsFor<T>().all_finite(static_cast<int64_t>(w.size()),
                                         w.data())) {
    wrong = "parameters are infinite or not numbers";
  }
  if (!wrong.empty()) {
    return absl::InternalError(absl::StrCat("training diverged: ", wrong,
                                            "; a smaller step size than ",
                                            step_size, " may help"));
  }
  TrainResult result;
  result.examples = static_cast<double>(rows);
  result.local_steps = local.steps;
  result.metrics = {{"loss", local.mean_loss},
                    {"first_loss", local.first_loss}};
  return result;
}

// GD or SGD on any model.
template <typename T>
class Steps final : public LocalMethod<T> {
 public:
  // `signed_rows`, of a linear model without a bias, tell the log-loss.
  Steps(BuiltinTrainerOptions<T> options, std::optional<SignedRows> signed_rows)
      : options_(std::move(options)),
        source_(options_.train),
        signed_rows_(std::move(signed_rows)) {}

  absl::StatusOr<TrainResult> Train(const TrainTask& task,
                                    absl::Span<T> w) override {
    const int64_t steps = PlannedSteps(options_.solver, source_.rows());
    PARLEY_ASSIGN_OR_RETURN(const double step_size,
                            StepSizeOf(options_, task, steps));
    std::optional<double> log_loss;
    if constexpr (std::is_same_v<T, double>) {
      if (signed_rows_) {
        log_loss = MeanLogLoss(*options_.margin_loss, *signed_rows_, w);
      }
    }
    Rng rng(options_.seed, task.client, task.round, "batches");
    int64_t taken = 0;
    PARLEY_ASSIGN_OR_RETURN(
        const LocalResult local,
        Solve<T>(
            *options_.model, options_.solver, step_size, source_, rng, w,
            [&task, &taken, steps] { return GoesOn(task, taken++, steps); }));
    PARLEY_ASSIGN_OR_RETURN(TrainResult result,
                            ResultOf<T>(local, source_.rows(), step_size, w));
    if (log_loss) result.metrics[kLogLoss] = *log_loss;
    return result;
  }

 private:
  const BuiltinTrainerOptions<T> options_;
  DatasetSource<T> source_;
  const std::optional<SignedRows> signed_rows_;
};

// GD on the margins of a linear model without a bias.
class MarginSteps final : public LocalMethod<double> {
 public:
  MarginSteps(BuiltinTrainerOptions<double> options, SignedRows rows,
              bool in_span)
      : options_(std::move(options)),
        rows_(rows.rows()),
        descent_(std::move(rows), *options_.margin_loss, in_span) {}

  absl::StatusOr<TrainResult> Train(const TrainTask& task,
                                    absl::Span<double> w) override {
    const int64_t steps = options_.solver.steps;
    PARLEY_ASSIGN_OR_RETURN(const double step_size,
                            StepSizeOf(options_, task, steps));
    double log_step_size = std::log(step_size);
    if (options_.loss_normalised) {
      // The loss that the last round began with: only after this one could
      // anybody know this round's. As the loss falls the step is then smaller
      // than it might be, by what one round brings, and never larger.
      const auto f = task.values.find(kLogLoss);
      if (f == task.values.end() || !std::isfinite(f->second)) {
        return absl::InvalidArgumentError(
            "the coordinator sent no log_loss, by which "
            "local.step_size.loss_normalised divides");
      }
      log_step_size -= f->second;
    }
    PARLEY_ASSIGN_OR_RETURN(
        const MarginDescentResult descended,
        descent_.Run(log_step_size, steps, w, [&task, steps](int64_t done) {
          return GoesOn(task, done, steps);
        }));
    PARLEY_ASSIGN_OR_RETURN(
        TrainResult result,
        ResultOf<double>(descended.local, rows_, step_size, w));
    result.metrics[kLogLoss] = descended.log_loss;
    return result;
  }

 private:
  const BuiltinTrainerOptions<double> options_;
  const int64_t rows_;
  MarginDescent descent_;
};

// The local problem's solution, without steps.
class ProxSolve final : public LocalMethod<double> {
 public:
  ProxSolve(SignedRows rows, const ExactProxOptions& options)
      : prox_(std::move(rows), options) {}

  absl::StatusOr<TrainResult> Train(const TrainTask& task,
                                    absl::Span<double> w) override {
    TrainResult result;
    result.examples = static_cast<double>(prox_.rows().rows());
    result.metrics[kLogLoss] =
        MeanLogLoss(MarginLoss::kExponential, prox_.rows(), w);
    PARLEY_RETURN_IF_ERROR(prox_.Solve(
        w, [&task] { return task.cancelled == nullptr || !*task.cancelled; }));
    result.local_steps = prox_.epochs();
    return result;
  }

 private:
  ExactProx prox_;
};

bool IsPlainDescent(const LocalSolverOptions& solver) {
  return solver.full_batch && solver.momentum == 0 &&
         solver.weight_decay == 0 && solver.proximal == 0;
}

}  // namespace

bool GoesOn(const TrainTask& task, int64_t done, int64_t of) {
  if (task.fraction != nullptr) {
    task.fraction->store(static_cast<double>(done) / static_cast<double>(of),
                         std::memory_order_relaxed);
  }
  return task.cancelled == nullptr || !*task.cancelled;
}

absl::StatusOr<std::unique_ptr<LocalMethod<float>>> MakeLocalMethod(
    const BuiltinTrainerOptions<float>& options) {
  if (options.exact_prox || options.loss_normalised || options.margin_loss) {
    return absl::InvalidArgumentError(
        "exact_prox, loss_normalised and log-losses need parameters in double: "
        "precision FLOAT64");
  }
  return std::make_unique<Steps<float>>(options, std::nullopt);
}

absl::StatusOr<std::unique_ptr<LocalMethod<double>>> MakeLocalMethod(
    const BuiltinTrainerOptions<double>& options) {
  std::optional<SignedRows> rows;
  if (options.exact_prox || options.margin_loss) {
    PARLEY_ASSIGN_OR_RETURN(rows, SignedRows::Create(options.train));
  }
  if (options.exact_prox) {
    return std::make_unique<ProxSolve>(*std::move(rows), *options.exact_prox);
  }
  const bool by_margins = options.margin_loss && IsPlainDescent(options.solver);
  if (options.loss_normalised && !by_margins) {
    return absl::InvalidArgumentError(
        "loss_normalised goes with gd of a logistic model without bias alone, "
        "without momentum, weight_decay and proximal");
  }
  if (by_margins) {
    const bool in_span = SpanIsCheaper(*rows);
    if (options.loss_normalised || in_span) {
      return std::make_unique<MarginSteps>(options, *std::move(rows), in_span);
    }
  }
  return std::make_unique<Steps<double>>(options, std::move(rows));
}

}  // namespace parley
