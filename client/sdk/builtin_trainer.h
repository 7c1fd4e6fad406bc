// The trainer of the models that Parley has: GD or SGD on a client's own rows.
#ifndef PARLEY_CLIENT_SDK_BUILTIN_TRAINER_H_
#define PARLEY_CLIENT_SDK_BUILTIN_TRAINER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "client/sdk/trainer.h"
#include "common/analysis/direction.h"
#include "common/analysis/exact_prox.h"
#include "common/data/dataset.h"
#include "common/model/local_solver.h"
#include "common/model/model.h"

namespace parley {

// T is float or double.
template <typename T>
struct BuiltinTrainerOptions {
  // Shared, for it is the same for all clients of a process.
  std::shared_ptr<const Model<T>> model;
  Dataset<T> train;     // targets in the model's form
  Dataset<T> held_out;  // to evaluate on; may be empty
  // Solves the local problem instead of taking the solver's steps, of a linear
  // model without a bias; T must be double.
  std::optional<ExactProxOptions> exact_prox = {};
  LocalSolverOptions solver;
  // Of a linear model without a bias; T must be double. Its log-loss is told
  // with every update, and GD may work on its margins.
  std::optional<MarginLoss> margin_loss = {};
  // The step size in a round, from 1, of a client that takes `local_steps`.
  std::function<double(int64_t round, int64_t local_steps)> step_size;
  // Divides it by the loss whose logarithm is TrainTask::values "log_loss".
  bool loss_normalised = false;
  uint64_t seed = 1;
};

// Train: batches are drawn by (seed, client, round); TrainTask::values
// "step_size", where given, is the step size. Metrics: "loss", the mean over
// the steps' batches, each before its step; "first_loss", of the first batch;
// with margin_loss or exact_prox "log_loss", the logarithm of the mean loss of
// all rows at the start. exact_prox has no other, and its local_steps counts
// the passes over the rows.
// Evaluate: "loss", and "accuracy" where there are classes.
// InvalidArgument: no rows to train on, rows that do not fit the model.
template <typename T>
absl::StatusOr<std::unique_ptr<Trainer>> MakeBuiltinTrainer(
    BuiltinTrainerOptions<T> options);
extern template absl::StatusOr<std::unique_ptr<Trainer>> MakeBuiltinTrainer(
    BuiltinTrainerOptions<float>);
extern template absl::StatusOr<std::unique_ptr<Trainer>> MakeBuiltinTrainer(
    BuiltinTrainerOptions<double>);

}  // namespace parley

#endif  // PARLEY_CLIENT_SDK_BUILTIN_TRAINER_H_
