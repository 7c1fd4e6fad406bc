#include <optional>
#include <string>

#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "common/base/status_macros.h"
#include "tools/cli/admin_target.h"
#include "tools/cli/command.h"

namespace parley {
namespace {

absl::Status Stop(const std::string& target, const Security& security,
                  const std::string& reason) {
  PARLEY_ASSIGN_OR_RETURN(const auto client, ConnectTo(target, security));
  return client->Stop(reason);
}

}  // namespace

int StopCommand(int argc, const char* const* argv) {
  Security security;
  std::string reason = "stopped by parley stop";
  Flags flags(
      {"parley stop", "RUN_FOLDER|HOST:PORT",
       "Asks a coordinator to end its run: clients are told, the model "
       "of the last whole\nround is kept. Does not wait for it; `parley "
       "watch` does.\n",
       "Example:\n"
       "  parley stop runs/fashion_fedavg-1\n"
       "\n"
       "Exit codes: 0 it is stopping, or was over already; 1 it is not "
       "there.\n",
       1, 1});
  flags.Add("reason", &reason, "TEXT", "What the run's files say of it.");
  AddSecurityFlags(flags, &security);
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  const std::string& target = flags.arguments()[0];
  auto ended = FinalStatusOf(target);
  absl::Status stopped;
  if (ended.ok() && !ended->has_value()) {
    stopped = Stop(target, security, reason);
    // It may have ended before anybody could stop it.
    if (!stopped.ok()) ended = FinalStatusOf(target);
  }
  if (!ended.ok()) return Complain(ended.status());
  if (ended->has_value()) {
    absl::PrintF("nothing to stop: %s\n", FormatEnd(**ended));
    return kExitOk;
  }
  if (!stopped.ok()) return Complain(stopped);
  absl::PrintF("%s is stopping\n", target);
  return kExitOk;
}

}  // namespace parley
