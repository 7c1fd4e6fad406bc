// The built-in trainer, made from a run's configuration.
#ifndef PARLEY_CLIENT_SESSION_CONFIG_TRAINER_H_
#define PARLEY_CLIENT_SESSION_CONFIG_TRAINER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/sdk/builtin_trainer.h"
#include "client/sdk/trainer.h"
#include "parley/v1/run.pb.h"

namespace parley {

// Checks `config`, which came from a coordinator, loads the rows of `part` of
// its data, or those of `own_data` (own_data.h) where that is not empty, and
// makes the trainer for them.
// InvalidArgument: a configuration or data that does not do;
// FailedPrecondition: a custom model, or no part and no data; otherwise as the
// loaders.
absl::StatusOr<std::unique_ptr<Trainer>> MakeConfigTrainer(
    const v1::RunConfig& config, std::optional<int32_t> part,
    const std::string& own_data);

// What clients with parts of the same run have in common: all but the rows.
// `config` is checked and has its defaults and facts (StateFacts) filled in.
template <typename T>
absl::StatusOr<BuiltinTrainerOptions<T>> BuiltinOptionsOf(
    const v1::RunConfig& config);

}  // namespace parley

#endif  // PARLEY_CLIENT_SESSION_CONFIG_TRAINER_H_
