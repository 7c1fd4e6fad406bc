// Which coordinator a command talks to, about which of its runs, and how.
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

// A coordinator, and its run that is meant; empty: as StatusRequest says.
struct AdminTarget {
  std::string address;
  std::string run;
};

// Of a run's folder on this machine, the folder of a queue, or HOST:PORT.
// FailedPrecondition: the folder has no coordinator at present. NotFound:
// neither such a folder nor an address.
absl::StatusOr<AdminTarget> TargetOf(const std::string& target);

// Adds --run, for coordinators with several.
void AddRunFlag(Flags& flags, std::string* run);

// Adds --tls-ca, --tls-cert, --tls-key and --insecure.
void AddSecurityFlags(Flags& flags, Security* security);

// As TargetOf and AdminClient::Create; `run`, where it is not empty, is then
// the target's.
absl::StatusOr<std::unique_ptr<AdminClient>> ConnectTo(
    const std::string& target, const Security& security, std::string* run);

// Shows how a run goes, by lines for people or JSON, until it has ended. The
// last status; Unavailable: the coordinator left before.
absl::StatusOr<v1::RunStatus> ShowRun(AdminClient& client,
                                      const std::string& run, bool json);

// That says how a run ended.
int ExitCodeOf(v1::RunState state);

}  // namespace parley

#endif  // PARLEY_TOOLS_CLI_ADMIN_TARGET_H_
