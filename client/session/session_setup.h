// How a session is set up: what it says of itself, and what it makes of a run
// that it has joined.
#ifndef PARLEY_CLIENT_SESSION_SESSION_SETUP_H_
#define PARLEY_CLIENT_SESSION_SESSION_SETUP_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "client/session/coordinator_session.h"
#include "client/session/session_machine.h"
#include "client/session/task_job.h"
#include "common/base/log.h"
#include "common/model/parameters.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

// `gossips`: it can take part in gossip runs.
SessionMachineOptions MachineOptions(const CoordinatorSessionOptions& options,
                                     bool gossips);

// What to tell of the LOCAL tensors that the client keeps; nullopt: there are
// none.
std::optional<std::pair<LogLevel, std::string>> LocalTensorsNote(
    const Workbench& bench);

// The run's spec, and that both sides mean the same by it. FailedPrecondition:
// they do not, or the model takes more than `max_bytes`.
absl::StatusOr<ParameterSpec> ReadSpec(const v1::Registered& registered,
                                       int64_t max_bytes);

// The trainer, and the LOCAL tensors. Errors are those of the factory, of
// Trainer::Accepts and of LocalTensors::Open.
absl::StatusOr<std::shared_ptr<Workbench>> MakeBench(
    const v1::Registered& registered, const ParameterSpec& spec,
    const CoordinatorSessionOptions& options, const TrainerFactory& factory);

}  // namespace parley

#endif  // PARLEY_CLIENT_SESSION_SESSION_SETUP_H_
