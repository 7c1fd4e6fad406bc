// Which coordinator a command talks to, and how.
#ifndef PARLEY_TOOLS_CLI_ADMIN_TARGET_H_
#define PARLEY_TOOLS_CLI_ADMIN_TARGET_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/rpc/admin_client.h"
#include "common/base/flags.h"
#include "common/rpc/credentials.h"

namespace parley {

// The address of a coordinator, of a run's folder on this machine or HOST:PORT.
// FailedPrecondition: the folder's run has no coordinator at present. NotFound:
// neither such a folder nor an address.
absl::StatusOr<std::string> AddressOf(const std::string& target);

// Adds --tls-ca, --tls-cert, --tls-key and --insecure.
void AddSecurityFlags(Flags& flags, Security* security);

// As AddressOf and AdminClient::Create.
absl::StatusOr<std::unique_ptr<AdminClient>> ConnectTo(
    const std::string& target, const Security& security);

}  // namespace parley

#endif  // PARLEY_TOOLS_CLI_ADMIN_TARGET_H_
