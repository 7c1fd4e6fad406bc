#include "tools/sim/part_trainers.h"

#include <utility>

#include "client/session/config_trainer.h"
#include "common/base/status_macros.h"
#include "common/config/build.h"

namespace parley {
namespace {

template <typename T>
absl::StatusOr<MakeTrainer> BuiltinTrainers(const v1::RunConfig& config,
                                            Executor* executor) {
  PARLEY_ASSIGN_OR_RETURN(const BuiltinTrainerOptions<T> common,
                          BuiltinOptionsOf<T>(config));
  PARLEY_ASSIGN_OR_RETURN(Partitioned<T> parts,
                          LoadAllParts<T>(config, executor));
  // Shared: the function is copied.
  auto shared = std::make_shared<const Partitioned<T>>(std::move(parts));
  return [common, shared](int64_t client) {
    BuiltinTrainerOptions<T> options = common;
    options.train = shared->train(client);
    options.held_out = shared->held_out(client);
    return MakeBuiltinTrainer(std::move(options));
  };
}

}  // namespace

absl::StatusOr<MakeTrainer> PartTrainers(const v1::RunConfig& config,
                                         Executor* executor) {
  return DTypeOf(config) == DType::kFloat32
             ? BuiltinTrainers<float>(config, executor)
             : BuiltinTrainers<double>(config, executor);
}

}  // namespace parley
