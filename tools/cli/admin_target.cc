#include "tools/cli/admin_target.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/store/run_store.h"
#include "tools/cli/run_folder.h"

namespace parley {

absl::StatusOr<std::optional<v1::RunStatus>> FinalStatusOf(
    const std::string& target) {
  absl::StatusOr<v1::RunStatus> status = ReadFinalStatus(target);
  if (status.ok()) return std::optional(*std::move(status));
  if (absl::IsInvalidArgument(status.status())) return status.status();
  return std::nullopt;
}

std::string FormatEnd(const v1::RunStatus& status) {
  return absl::StrCat("run ", status.run(), " ",
                      absl::AsciiStrToLower(v1::RunState_Name(status.state())),
                      status.detail().empty() ? "" : ": ", status.detail());
}

absl::StatusOr<std::string> AddressOf(const std::string& target) {
  std::error_code error;
  if (!std::filesystem::is_directory(target, error)) {
    if (absl::StrContains(target, ':')) return target;
    return absl::NotFoundError(absl::StrCat(
        target, " is neither a run's folder nor HOST:PORT; see parley ls"));
  }
  const std::string journal = absl::StrCat(target, "/", kJournalFile);
  if (!std::filesystem::exists(journal, error)) {
    return absl::NotFoundError(
        absl::StrCat("there is no run in ", target, "; see parley ls"));
  }
  std::ifstream file(absl::StrCat(target, "/", kAddressFile));
  std::string address;
  if (!IsRunning(target) || !std::getline(file, address) || address.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the run in ", target,
        " was interrupted: its coordinator is gone, without a "
        "word; parley-server --run ",
        target, "/", kRunFile, " --dir ", target, " --resume goes on with it"));
  }
  return address;
}

void AddSecurityFlags(Flags& flags, Security* security) {
  flags.Add("tls-ca", &security->tls.ca, "FILE",
            "Certificates that the coordinator's must descend from.");
  flags.Add("tls-cert", &security->tls.cert, "FILE",
            "One's own certificate, where the coordinator wants one.");
  flags.Add("tls-key", &security->tls.key, "FILE", "The key of --tls-cert.");
  flags.Add("insecure", &security->allow_insecure, "",
            "Allow unencrypted connections beyond this machine.");
}

absl::StatusOr<std::unique_ptr<AdminClient>> ConnectTo(
    const std::string& target, const Security& security) {
  PARLEY_ASSIGN_OR_RETURN(const std::string address, AddressOf(target));
  return AdminClient::Create(address, {.security = security});
}

}  // namespace parley
