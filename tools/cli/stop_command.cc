#include <optional>
#include <string>

#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "common/base/status_macros.h"
#include "tools/cli/admin_target.h"
#include "tools/cli/command.h"

namespace parley {
namespace {

// The run's name.
absl::StatusOr<std::string> Stop(const std::string& target,
                                 const Security& security, std::string run,
                                 const std::string& reason) {
  PARLEY_ASSIGN_OR_RETURN(const auto client, ConnectTo(target, security, &run));
  return client->Stop(run, reason);
}

}  // namespace

int StopCommand(int argc, const char* const* argv) {
  Security security;
  std::string reason = "stopped by parley stop", run;
  Flags flags({"parley stop", "RUN_FOLDER|HOST:PORT",
               "Asks a coordinator to end a run: clients are told, the model "
               "of the last whole\nround is kept. One that is queued never "
               "begins. Does "
               "not wait for it; `parley\nwatch` does.\n",
               "Examples:\n"
               "  $ parley stop runs/fashion_fedavg-1\n"
               "  $ parley stop localhost:7070 --run fashion_fedavg-2\n"
               "\n"
               "Exit codes: 0 it is stopping, or was over already; 1 it is not "
               "there.\n",
               1, 1});
  AddRunFlag(flags, &run);
  flags.Add("reason", &reason, "TEXT", "What the run's files say of it.");
  AddSecurityFlags(flags, &security);
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  const std::string& target = flags.arguments()[0];
  auto ended = FinalStatusOf(target);
  absl::StatusOr<std::string> stopped;
  if (ended.ok() && !ended->has_value()) {
    stopped = Stop(target, security, run, reason);
    // It may have ended before anybody could stop it.
    if (!stopped.ok()) ended = FinalStatusOf(target);
  }
  if (!ended.ok()) return Complain(ended.status());
  if (ended->has_value()) {
    absl::PrintF("nothing to stop: %s\n", FormatEnd(**ended));
    return kExitOk;
  }
  if (!stopped.ok()) return Complain(stopped.status());
  absl::PrintF("run %s is stopping\n", *stopped);
  return kExitOk;
}

}  // namespace parley
