// The trainers of all parts of a run's data.
#ifndef PARLEY_TOOLS_SIM_PART_TRAINERS_H_
#define PARLEY_TOOLS_SIM_PART_TRAINERS_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "client/sdk/trainer.h"
#include "common/base/executor.h"
#include "parley/v1/run.pb.h"

namespace parley {

// Makes the trainer of a part, from 0.
using MakeTrainer =
    std::function<absl::StatusOr<std::unique_ptr<Trainer>>(int64_t part)>;

// Built-in trainers over the parts of one data set, which they share. `config`
// is checked, its defaults and facts filled in. Errors: as LoadAllParts.
absl::StatusOr<MakeTrainer> PartTrainers(const v1::RunConfig& config,
                                         Executor* executor);

}  // namespace parley

#endif  // PARLEY_TOOLS_SIM_PART_TRAINERS_H_
