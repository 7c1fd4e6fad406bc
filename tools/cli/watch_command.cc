#include <optional>
#include <string>

#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "common/base/status_macros.h"
#include "common/report/run_status.h"
#include "tools/cli/admin_target.h"
#include "tools/cli/command.h"
#include "tools/cli/progress.h"

namespace parley {
namespace {

absl::StatusOr<v1::RunStatus> Watch(const std::string& target,
                                    const Security& security, std::string run,
                                    bool json) {
  PARLEY_ASSIGN_OR_RETURN(const auto client, ConnectTo(target, security, &run));
  return ShowRun(*client, run, json);
}

// How the run in the folder ended, shown as its last change.
v1::RunStatus ShowEnd(const v1::RunStatus& status, bool json) {
  if (json) {
    absl::PrintF("%s\n", StatusLine(status));
  } else {
    ProgressPrinter(stdout).Update(status);
  }
  return status;
}

}  // namespace

int WatchCommand(int argc, const char* const* argv) {
  Security security;
  std::string run;
  bool json = false;
  Flags flags(
      {"parley watch", "RUN_FOLDER|HOST:PORT",
       "Shows how a run goes, until it ends, or how it ended. Ctrl-C ends the "
       "watching only.\n",
       "Examples:\n"
       "  $ parley watch runs/fashion_fedavg-1\n"
       "  $ parley watch coordinator:7474 --tls-ca ca.pem\n"
       "  $ parley watch localhost:7070 --run fashion_fedavg-2\n"
       "\n"
       "Exit codes: 0 the run finished; 1 it failed, or is not there; 3 it was "
       "stopped.\n",
       1, 1});
  AddRunFlag(flags, &run);
  flags.Add("json", &json, "", "Print one JSON object a change, a line each.");
  AddSecurityFlags(flags, &security);
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  const std::string& target = flags.arguments()[0];
  auto ended = FinalStatusOf(target);
  absl::StatusOr<v1::RunStatus> last;
  if (ended.ok() && !ended->has_value()) {
    last = Watch(target, security, run, json);
    // It may have ended before anybody could tell.
    if (!last.ok()) ended = FinalStatusOf(target);
  }
  if (!ended.ok()) return Complain(ended.status());
  if (ended->has_value()) last = ShowEnd(**ended, json);
  if (!last.ok()) return Complain(last.status());
  if (!json) absl::PrintF("%s\n", FormatEnd(*last));
  return ExitCodeOf(last->state());
}

}  // namespace parley
