#include "tools/cli/admin_target.h"

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/report/run_status.h"
#include "server/host/queue_folder.h"
#include "server/store/recorded_run.h"
#include "server/store/run_store.h"
#include "tools/cli/command.h"
#include "tools/cli/progress.h"
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

// The folder of the queue that has the run in `folder`, which has not begun;
// empty: none has.
std::string QueueOf(const std::filesystem::path& folder) {
  const std::string queue = folder.parent_path().string();
  std::ifstream file(absl::StrCat(queue, "/", kQueueFile));
  std::string name;
  while (std::getline(file, name)) {
    if (!name.empty() && name == folder.filename()) return queue;
  }
  return "";
}

absl::StatusOr<AdminTarget> TargetOf(const std::string& target) {
  std::error_code error;
  if (!std::filesystem::is_directory(target, error)) {
    if (absl::StrContains(target, ':')) return AdminTarget{target, ""};
    return absl::NotFoundError(absl::StrCat(
        target, " is neither a run's folder nor HOST:PORT; see parley ls"));
  }
  const bool run =
      std::filesystem::exists(absl::StrCat(target, "/", kJournalFile), error);
  const bool queue =
      std::filesystem::exists(absl::StrCat(target, "/", kQueueFile), error);
  if (!run && !queue) {
    std::filesystem::path folder =
        std::filesystem::absolute(target, error).lexically_normal();
    if (!folder.has_filename()) folder = folder.parent_path();  // "runs/x/"
    if (const std::string waits_in = QueueOf(folder); !waits_in.empty()) {
      absl::StatusOr<AdminTarget> found = TargetOf(waits_in);
      if (found.ok()) {
        found->run = folder.filename();
        return found;
      }
      return absl::FailedPreconditionError(
          absl::StrCat("the run in ", target,
                       " has not begun and waits: ", found.status().message()));
    }
    return absl::NotFoundError(
        absl::StrCat("there is no run in ", target, "; see parley ls"));
  }
  std::ifstream file(absl::StrCat(target, "/", kAddressFile));
  AdminTarget found;
  if (const auto recorded = ReadRecordedRun(target); recorded.ok()) {
    found.run = recorded->opened.run();
  }
  if (IsRunning(target) && std::getline(file, found.address) &&
      !found.address.empty()) {
    return found;
  }
  if (queue) {
    return absl::FailedPreconditionError(
        absl::StrCat("the queue in ", target,
                     " has no coordinator; parley-server --queue --dir ",
                     target, " goes on with it"));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "the run in ", target,
      " was interrupted: its coordinator is gone, without a "
      "word; parley-server --run ",
      target, "/", kRunFile, " --dir ", target, " --resume goes on with it"));
}

void AddRunFlag(Flags& flags, std::string* run) {
  flags.Add("run", run, "NAME",
            "Of a coordinator with several runs. Default: the oldest that\n"
            "goes on, else the next in the queue.");
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
    const std::string& target, const Security& security, std::string* run) {
  PARLEY_ASSIGN_OR_RETURN(const AdminTarget found, TargetOf(target));
  if (run->empty()) *run = found.run;
  return AdminClient::Create(found.address, {.security = security});
}

absl::StatusOr<v1::RunStatus> ShowRun(AdminClient& client,
                                      const std::string& run, bool json) {
  v1::RunStatus last;
  ProgressPrinter printer(stdout);
  const auto show = [&](const v1::RunStatus& status) {
    last = status;
    if (json) {
      absl::PrintF("%s\n", StatusLine(status));
      std::fflush(stdout);
    } else {
      printer.Update(status);
    }
    return !HasEnded(status.state());
  };
  PARLEY_RETURN_IF_ERROR(client.Watch(run, show));
  if (HasEnded(last.state())) return last;
  return absl::UnavailableError("the coordinator left");
}

int ExitCodeOf(v1::RunState state) {
  if (state == v1::FINISHED) return kExitOk;
  return state == v1::STOPPED ? kExitStopped : kExitFailed;
}

}  // namespace parley
