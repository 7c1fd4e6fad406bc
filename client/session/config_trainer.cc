#include "client/session/config_trainer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/build.h"
#include "common/config/facts.h"
#include "common/config/own_data.h"
#include "common/config/validate.h"

namespace parley {
namespace {

template <typename T>
absl::StatusOr<std::unique_ptr<Trainer>> Make(const v1::RunConfig& config,
                                              std::optional<int32_t> part,
                                              const std::string& own_data) {
  PARLEY_ASSIGN_OR_RETURN(BuiltinTrainerOptions<T> options,
                          BuiltinOptionsOf<T>(config));
  absl::StatusOr<PartData<T>> data = own_data.empty()
                                         ? LoadPart<T>(config, *part)
                                         : LoadOwn<T>(own_data, config);
  if (!data.ok() && !own_data.empty()) {
    return absl::Status(
        data.status().code(),
        absl::StrCat("--data ", own_data, ": ", data.status().message()));
  }
  if (!data.ok()) return data.status();
  options.train = std::move(data->train);
  options.held_out = std::move(data->held_out);
  return MakeBuiltinTrainer(std::move(options));
}

}  // namespace

template <typename T>
absl::StatusOr<BuiltinTrainerOptions<T>> BuiltinOptionsOf(
    const v1::RunConfig& config) {
  PARLEY_ASSIGN_OR_RETURN(const ModelOptions model,
                          ModelOptionsOf(config, StatedFacts(config.model())));
  BuiltinTrainerOptions<T> options;
  PARLEY_ASSIGN_OR_RETURN(options.model, MakeModel<T>(model));
  options.exact_prox = ExactProxOptionsOf(config.local());
  options.margin_loss = MarginLossOf(config);
  options.loss_normalised = config.local().step_size().has_loss_normalised();
  options.solver = SolverOptionsOf(config.local());
  options.step_size = [step_size = config.local().step_size()](
                          int64_t round, int64_t local_steps) {
    return StepSizeOf(step_size, round, local_steps);
  };
  options.seed = config.seed();
  return options;
}
template absl::StatusOr<BuiltinTrainerOptions<float>> BuiltinOptionsOf(
    const v1::RunConfig&);
template absl::StatusOr<BuiltinTrainerOptions<double>> BuiltinOptionsOf(
    const v1::RunConfig&);

absl::StatusOr<std::unique_ptr<Trainer>> MakeConfigTrainer(
    const v1::RunConfig& config, std::optional<int32_t> part,
    const std::string& own_data) {
  PARLEY_RETURN_IF_ERROR(CheckRun(config));
  if (config.model().has_custom()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the run's model is the custom \"", config.model().custom().name(),
        "\"; it needs a client with a trainer for it"));
  }
  if (own_data.empty() && !part) {
    return absl::FailedPreconditionError(
        "this client was given no part of the run's data and has none of its "
        "own; start it with --data");
  }
  return DTypeOf(config) == DType::kFloat32
             ? Make<float>(config, part, own_data)
             : Make<double>(config, part, own_data);
}

}  // namespace parley
