#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/base/flags.h"
#include "common/base/status_macros.h"
#include "common/config/load.h"
#include "common/report/direction_facts.h"
#include "common/report/html_report.h"
#include "common/report/metrics_log.h"
#include "server/store/run_store.h"
#include "tools/cli/command.h"
#include "tools/cli/fellow.h"
#include "tools/cli/local_run.h"
#include "tools/cli/progress.h"
#include "tools/cli/run_folder.h"

namespace parley {
namespace {

constexpr int64_t kMaxClients = 10000;  // processes on one machine
constexpr int kMaxClientWords = 1000;

void PrintResult(const RunSummary& run) {
  absl::PrintF("run %s %s after %d of %d rounds%s%s\n", run.run, run.state,
               run.rounds, run.planned, run.reason.empty() ? "" : ": ",
               run.reason);
  const std::string quality = FormatQuality(run.loss, run.accuracy);
  absl::PrintF("  result   %s%sin %s, ↑%s ↓%s\n", quality,
               quality.empty() ? "" : "  ",
               FormatSpan(absl::Seconds(run.seconds)), FormatSize(run.bytes_up),
               FormatSize(run.bytes_down));
  // Of diagnostics.direction_gap; a damaged file is the report's to tell.
  const auto words = ReadDirectionWords(run.folder);
  for (size_t i = 0; words.ok() && i < words->size(); ++i) {
    absl::PrintF("  %-8s %s\n", i == 0 ? "limit" : "", (*words)[i]);
  }
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

// Reads the run file and settles how many clients there are. Errors are wrong
// usage.
absl::StatusOr<v1::RunConfig> Configure(const std::string& file,
                                        std::optional<int64_t> clients,
                                        LocalRun::Options* options) {
  options->run_file = file;
  const auto load = [&] { return LoadRunFile(file, options->sets); };
  PARLEY_ASSIGN_OR_RETURN(v1::RunConfig config, load());
  options->parts = config.data().has_train();
  options->gossip = config.has_gossip();
  if ((options->parts || options->gossip) && clients.has_value()) {
    options->sets.push_back(absl::StrCat("data.partition.parts=", *clients));
    PARLEY_ASSIGN_OR_RETURN(config, load());
  }
  if (!options->parts && options->client.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        file,
        " has no data.train that clients could be given parts of: start "
        "parley-server and the clients by hand, or name a client program of "
        "your own after --"));
  }
  if (!options->parts && !clients.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        file, " has no data.train: say with --clients how many to start"));
  }
  const int64_t count =
      options->parts ? config.data().partition().parts() : *clients;
  if (count < 1 || count > kMaxClients) {
    return absl::InvalidArgumentError(
        absl::StrCat(count, " clients: parley run starts 1 to ", kMaxClients));
  }
  options->clients = static_cast<int>(count);
  return config;
}

// The path of a program as a shell would find it.
absl::StatusOr<std::string> FindProgram(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::vector<std::string> folders = absl::StrSplit(path ? path : "", ':');
  if (absl::StrContains(name, '/')) folders = {""};
  for (const std::string& folder : folders) {
    const std::string file =
        folder.empty() ? name : absl::StrCat(folder, "/", name);
    if (access(file.c_str(), X_OK) == 0) return file;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is no program that can be run"));
}

// Those not given are Parley's own, beside this program. InvalidArgument: one
// that was given is none.
absl::Status FindPrograms(LocalRun::Options* options) {
  if (options->server.empty()) {
    PARLEY_ASSIGN_OR_RETURN(options->server, Fellow("parley-server"));
  }
  if (options->client.empty()) {
    PARLEY_ASSIGN_OR_RETURN(std::string client, Fellow("parley-client"));
    options->client = {std::move(client)};
  }
  PARLEY_ASSIGN_OR_RETURN(options->server, FindProgram(options->server));
  absl::StatusOr<std::string> client = FindProgram(options->client[0]);
  if (!client.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(client.status().message(),
                     "; what follows the run file is the clients' command"));
  }
  options->client[0] = *std::move(client);
  return absl::OkStatus();
}

}  // namespace

int RunCommand(int argc, const char* const* argv) {
  LocalRun::Options options;
  std::string folder;
  std::optional<int64_t> clients;
  int64_t port = 0;
  bool live = false;
  bool json = false;
  Flags flags(
      {"parley run", "FILE [-- CLIENT [WORD...]]",
       "Runs a run file on this machine: starts a coordinator and its clients "
       "as processes\nof their own, shows how it goes, and leaves none "
       "behind.\n"
       "CLIENT is a client program of yours, instead of parley-client; see "
       "examples/custom_trainer.\n",
       "Examples:\n"
       "  $ parley run examples/fashion_fedavg.textproto\n"
       "  $ parley run examples/fashion_fedavg.textproto --clients 20 --set "
       "stop.rounds=5\n"
       "  $ parley run mine.textproto --clients 4 -- ./my_trainer\n"
       "\n"
       "Exit codes: 0 the run finished; 1 it failed; 2 the command line or the "
       "run file is\nwrong; 3 it was stopped (Ctrl-C, parley stop).\n",
       1, 1 + kMaxClientWords});
  flags.Add("set", &options.sets, "FIELD=VALUE",
            "Change a field of the run file; may be repeated.");
  flags.Add("dir", &folder, "FOLDER",
            "Where the run's files go; must be empty or not there.\n"
            "Default: runs/NAME-N, the first N that is free.");
  flags.Add("clients", &clients, "N",
            "Deal the data out to N clients and start those; the same as\n"
            "--set data.partition.parts=N. Default: what the run file says.");
  flags.Add("coordinator", &options.server, "PROGRAM",
            "A coordinator of yours, instead of parley-server; see\n"
            "examples/custom_strategy.");
  flags.Add("port", &port, "PORT",
            "Of the coordinator, on loopback. Default: any free one.");
  flags.Add("live", &live, "",
            "Show the run live in a browser, too: serves its page at a free\n"
            "port of loopback and says where.");
  flags.Add("json", &json, "",
            "Print the result as one JSON object, and nothing else, on "
            "standard output.");
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  if (port < 0 || port > 65535) {
    return Complain(
        absl::InvalidArgumentError("--port: must be between 0 and 65535"),
        kExitUsage);
  }
  options.client.assign(flags.arguments().begin() + 1, flags.arguments().end());
  const absl::StatusOr<v1::RunConfig> config =
      Configure(flags.arguments()[0], clients, &options);
  if (!config.ok()) return Complain(config.status(), kExitUsage);
  options.port = static_cast<int>(port);
  if (live) options.live_run = config->name();
  if (absl::Status status = FindPrograms(&options); !status.ok()) {
    return Complain(status,
                    absl::IsInvalidArgument(status) ? kExitUsage : kExitFailed);
  }
  const auto made = MakeFolder(folder, config->name());
  if (!made.ok()) return Complain(made.status());
  options.folder = *made;

  absl::Status ran;
  {
    ProgressPrinter printer(json ? stderr : stdout);
    printer.Say(absl::StrCat("run ", config->name(), " with ", options.clients,
                             " clients in ", *made));
    ran = LocalRun(std::move(options), &printer).Run();
  }
  return Report(*made, ran, json);
}

}  // namespace parley
