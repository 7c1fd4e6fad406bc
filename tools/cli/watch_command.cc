#include <google/protobuf/util/json_util.h>

#include <cstdio>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "common/base/flags.h"
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

std::string ToJsonLine(const v1::RunStatus& status) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string line;
  // No message of ours can fail.
  (void)google::protobuf::util::MessageToJsonString(status, &line, options);
  return line;
}

}  // namespace

int WatchCommand(int argc, const char* const* argv) {
  Security security;
  bool json = false;
  Flags flags(
      {"parley watch", "RUN_FOLDER|HOST:PORT",
       "Shows how a run goes, until it ends. Ctrl-C ends the watching only.\n",
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
  const auto client = ConnectTo(flags.arguments()[0], security);
  if (!client.ok()) return Complain(client.status());

  v1::RunStatus last;
  absl::Status watched;
  {
    ProgressPrinter printer(stdout);
    watched = (*client)->Watch([&](const v1::RunStatus& status) {
      last = status;
      if (json) {
        absl::PrintF("%s\n", ToJsonLine(status));
        std::fflush(stdout);
      } else {
        printer.Update(status);
      }
      return !HasEnded(status.state());
    });
  }
  if (!HasEnded(last.state())) {
    if (watched.ok()) watched = absl::UnavailableError("the coordinator left");
    return Complain(watched);
  }
  if (!json) {
    absl::PrintF("run %s %s%s%s\n", last.run(),
                 absl::AsciiStrToLower(v1::RunState_Name(last.state())),
                 last.detail().empty() ? "" : ": ", last.detail());
  }
  return ExitCodeOf(last.state());
}

}  // namespace parley
