// Which coordinator a command talks to, and how.
#ifndef PARLEY_TOOLS_CLI_ADMIN_TARGET_H_
#define PARLEY_TOOLS_CLI_ADMIN_TARGET_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/rpc/admin_client.h"
#include "common/base/flags.h"
#include "common/rpc/credentials.h"
#include "parley/v1/admin.pb.h"

namespace parley {

// How the run ended, where `target` is the folder of one that did; nullopt
// where that is not known here. InvalidArgument: the folder's status is
// damaged.
absl::StatusOr<std::optional<v1::RunStatus>> FinalStatusOf(
    const std::string& target);

// "run NAME finished: all rounds are done".
std::string FormatEnd(const v1::RunStatus& status);

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
