#include <cstdio>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "common/base/status_macros.h"
#include "common/report/run_status.h"
#include "tools/cli/admin_target.h"
#include "tools/cli/command.h"
#include "tools/cli/progress.h"

namespace parley {
namespace {

// Of the run's last state.
int ExitCodeOf(v1::RunState state) {
  if (state == v1::FINISHED) return kExitOk;
  return state == v1::STOPPED ? kExitStopped : kExitFailed;
}

// Until `on_change` returns false; else why not.
absl::Status Watch(
    const std::string& target, const Security& security,
    absl::FunctionRef<bool(const v1::RunStatus& status)> on_change) {
  PARLEY_ASSIGN_OR_RETURN(const auto client, ConnectTo(target, security));
  PARLEY_RETURN_IF_ERROR(client->Watch(on_change));
  return absl::UnavailableError("the coordinator left");
}

}  // namespace

int WatchCommand(int argc, const char* const* argv) {
  Security security;
  bool json = false;
  Flags flags(
      {"parley watch", "RUN_FOLDER|HOST:PORT",
       "Shows how a run goes, until it ends, or how it ended. Ctrl-C ends the "
       "watching only.\n",
       "Examples:\n"
       "  parley watch runs/fashion_fedavg-1\n"
       "  parley watch coordinator:7474 --tls-ca ca.pem\n"
       "\n"
       "Exit codes: 0 the run finished; 1 it failed, or is not there; 3 it was "
       "stopped.\n",
       1, 1});
  flags.Add("json", &json, "", "Print one JSON object a change, a line each.");
  AddSecurityFlags(flags, &security);
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  const std::string& target = flags.arguments()[0];
  v1::RunStatus last;
  {
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
    auto ended = FinalStatusOf(target);
    absl::Status watched;
    if (ended.ok() && !ended->has_value()) {
      watched = Watch(target, security, show);
      // It may have ended before anybody could tell.
      if (!HasEnded(last.state())) ended = FinalStatusOf(target);
    }
    if (!ended.ok()) return Complain(ended.status());
    if (ended->has_value()) {
      show(**ended);
    } else if (!HasEnded(last.state())) {
      return Complain(watched);
    }
  }
  if (!json) absl::PrintF("%s\n", FormatEnd(last));
  return ExitCodeOf(last.state());
}

}  // namespace parley
