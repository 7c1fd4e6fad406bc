#include <optional>
#include <string>

#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "tools/cli/admin_target.h"
#include "tools/cli/command.h"

namespace parley {

int StopCommand(int argc, const char* const* argv) {
  Security security;
  std::string reason = "stopped by parley stop";
  Flags flags(
      {"parley stop", "RUN_FOLDER|HOST:PORT",
       "Asks a coordinator to end its run: clients are told, the model "
       "of the last whole\nround is kept. Does not wait for it; `parley "
       "watch` does.\n",
       "Example:\n  parley stop runs/fashion_fedavg-1\n", 1, 1});
  flags.Add("reason", &reason, "TEXT", "What the run's files say of it.");
  AddSecurityFlags(flags, &security);
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  const std::string& target = flags.arguments()[0];
  const auto client = ConnectTo(target, security);
  if (!client.ok()) return Complain(client.status());
  if (const absl::Status status = (*client)->Stop(reason); !status.ok()) {
    return Complain(status);
  }
  absl::PrintF("%s is stopping\n", target);
  return kExitOk;
}

}  // namespace parley
