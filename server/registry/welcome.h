// What a run file says of registration, and what every client is told when it
// has registered.
#ifndef PARLEY_SERVER_REGISTRY_WELCOME_H_
#define PARLEY_SERVER_REGISTRY_WELCOME_H_

#include <cstdint>
#include <string>

#include "common/model/parameters.h"
#include "parley/v1/coordinator.pb.h"
#include "parley/v1/run.pb.h"
#include "server/registry/registry.h"

namespace parley {

// For the run's coordinator of that term; with no encodings and no reserved
// parts.
RegistryOptions RegistryOptionsOf(const v1::RunConfig& config,
                                  const std::string& run, uint64_t term,
                                  const std::string& token_key);

// A Registered, without what differs from client to client.
v1::ServerMessage MakeWelcome(const v1::RunConfig& config,
                              const ParameterSpec& spec, uint64_t run_id);

}  // namespace parley

#endif  // PARLEY_SERVER_REGISTRY_WELCOME_H_
