#include "server/registry/welcome.h"

#include <algorithm>

#include "common/wire/protocol.h"
#include "common/wire/spec.h"

namespace parley {

RegistryOptions RegistryOptionsOf(const v1::RunConfig& config,
                                  const std::string& run, uint64_t term,
                                  const std::string& token_key) {
  RegistryOptions registry;
  registry.run = run;
  registry.term = term;
  registry.token_key = token_key;
  registry.lease = absl::Seconds(config.limits().lease_seconds());
  registry.max_clients = config.limits().clients();
  if (config.data().has_train()) {
    registry.parts = config.data().partition().parts();
  }
  return registry;
}

v1::ServerMessage MakeWelcome(const v1::RunConfig& config,
                              const ParameterSpec& spec, uint64_t run_id) {
  v1::ServerMessage message;
  v1::Registered& welcome = *message.mutable_registered();
  const double lease_seconds = config.limits().lease_seconds();
  welcome.set_protocol_version(kProtocolVersion);
  *welcome.mutable_config() = config;
  welcome.set_lease_ms(static_cast<int64_t>(lease_seconds * 1000));
  welcome.set_heartbeat_ms(
      std::max<int64_t>(1, static_cast<int64_t>(lease_seconds * 1000 / 3)));
  welcome.set_parts(config.data().partition().parts());
  *welcome.mutable_spec() = SpecToProto(spec);
  welcome.set_spec_hash(spec.Hash());
  welcome.set_software("parley-server");
  welcome.set_run_id(run_id);
  return message;
}

}  // namespace parley
