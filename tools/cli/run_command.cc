#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "common/base/status_macros.h"
#include "common/config/load.h"
#include "common/report/html_report.h"
#include "common/report/metrics_log.h"
#include "server/store/run_store.h"
#include "tools/cli/command.h"
#include "tools/cli/local_run.h"
#include "tools/cli/progress.h"
#include "tools/cli/run_folder.h"

namespace parley {
namespace {

constexpr int64_t kMaxClients = 10000;  // processes on one machine

// The program of that name beside this one.
absl::StatusOr<std::string> Fellow(const char* name) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  std::string path = (self.parent_path() / name).string();
  if (!error && access(path.c_str(), X_OK) == 0) return path;
  return absl::NotFoundError(absl::StrCat(
      path, " is not there: parley runs the programs beside itself"));
}

void PrintResult(const RunSummary& run) {
  absl::PrintF("run %s %s after %d of %d rounds%s%s\n", run.run, run.state,
               run.rounds, run.planned, run.reason.empty() ? "" : ": ",
               run.reason);
  const std::string quality = FormatQuality(run.loss, run.accuracy);
  absl::PrintF("  result   %s%sin %s, ↑%s ↓%s\n", quality,
               quality.empty() ? "" : "  ",
               FormatSpan(absl::Seconds(run.seconds)), FormatSize(run.bytes_up),
               FormatSize(run.bytes_down));
  for (const auto& [what, file] :
       {std::pair("report", kReportFile), std::pair("model", kModelFile),
        std::pair("metrics", kMetricsFile), std::pair("run file", kRunFile),
        std::pair("logs", "*.log")}) {
    const std::string path = absl::StrCat(run.folder, "/", file);
    if (file[0] == '*' || access(path.c_str(), F_OK) == 0) {
      absl::PrintF("  %-8s %s\n", what, path);
    }
  }
}

// How the run in `folder` ended, once nothing runs any more.
int Report(const std::string& folder, const absl::Status& ran, bool json) {
  const auto run = ReadRunSummary(folder);
  if (run.ok() && json) {
    absl::PrintF("%s\n", ToJson(*run).ToString());
  } else if (run.ok()) {
    PrintResult(*run);
  }
  if (!ran.ok()) return Complain(ran);
  if (!run.ok()) {
    const std::string log = absl::StrCat(folder, "/", kServerLog);
    return Complain(absl::InternalError(absl::StrCat(
        "the coordinator left no record of the run: ", run.status().message(),
        "\n", LastLines(log, 8))));
  }
  if (run->state == "finished") return kExitOk;
  return run->state == "stopped" ? kExitStopped : kExitFailed;
}

absl::StatusOr<std::string> MakeFolder(const std::string& asked,
                                       const std::string& name) {
  if (asked.empty()) return MakeRunFolder(kRunsFolder, name);
  PARLEY_RETURN_IF_ERROR(MakeEmptyFolder(asked));
  return asked;
}

}  // namespace

int RunCommand(int argc, const char* const* argv) {
  LocalRun::Options options;
  std::string folder;
  std::optional<int64_t> clients;
  int64_t port = 0;
  bool json = false;
  Flags flags(
      {"parley run", "FILE",
       "Runs a run file on this machine: starts a coordinator and its clients "
       "as processes\nof their own, shows how it goes, and leaves none "
       "behind.\n",
       "Examples:\n"
       "  parley run examples/fashion_fedavg.textproto\n"
       "  parley run examples/fashion_fedavg.textproto --clients 20 --set "
       "stop.rounds=5\n"
       "\n"
       "Exit codes: 0 the run finished; 1 it failed; 2 the command line or the "
       "run file is\nwrong; 3 it was stopped (Ctrl-C, parley stop).\n",
       1, 1});
  flags.Add("set", &options.sets, "FIELD=VALUE",
            "Change a field of the run file; may be repeated.");
  flags.Add("dir", &folder, "FOLDER",
            "Where the run's files go; must be empty or not there.\n"
            "Default: runs/NAME-N, the first N that is free.");
  flags.Add("clients", &clients, "N",
            "Deal the data out to N clients and start those; the same as\n"
            "--set data.partition.parts=N. Default: what the run file says.");
  flags.Add("port", &port, "PORT",
            "Of the coordinator, on loopback. Default: any free one.");
  flags.Add("json", &json, "",
            "Print the result as one JSON object, and nothing else, on "
            "standard output.");
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  if (port < 0 || port > 65535) {
    return Complain(
        absl::InvalidArgumentError("--port: must be between 0 and 65535"),
        kExitUsage);
  }
  if (clients.has_value()) {
    options.sets.push_back(absl::StrCat("data.partition.parts=", *clients));
  }
  options.run_file = flags.arguments()[0];
  const auto config = LoadRunFile(options.run_file, options.sets);
  if (!config.ok()) return Complain(config.status(), kExitUsage);
  const int64_t parts = config->data().partition().parts();
  if (!config->data().has_train() || parts < 1 || parts > kMaxClients) {
    return Complain(
        absl::InvalidArgumentError(absl::StrCat(
            options.run_file,
            !config->data().has_train()
                ? " has no data.train that clients could be given parts of: "
                  "start parley-server and the clients by hand"
                : absl::StrCat(" has ", parts,
                               " parts: parley run starts up "
                               "to ",
                               kMaxClients, " clients"))),
        kExitUsage);
  }
  options.clients = static_cast<int>(parts);
  options.port = static_cast<int>(port);

  const auto server = Fellow("parley-server");
  if (!server.ok()) return Complain(server.status());
  const auto client = Fellow("parley-client");
  if (!client.ok()) return Complain(client.status());
  options.server = *server;
  options.client = *client;
  const auto made = MakeFolder(folder, config->name());
  if (!made.ok()) return Complain(made.status());
  options.folder = *made;

  absl::Status ran;
  {
    ProgressPrinter printer(json ? stderr : stdout);
    printer.Say(absl::StrCat("run ", config->name(), " with ", parts,
                             " clients in ", *made));
    ran = LocalRun(std::move(options), &printer).Run();
  }
  return Report(*made, ran, json);
}

}  // namespace parley
