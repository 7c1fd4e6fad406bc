#include "server/program/server_program.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/flags.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signals.h"
#include "common/config/facts.h"
#include "common/config/load.h"
#include "common/rpc/address.h"
#include "common/rpc/process.h"
#include "server/host/address_file.h"
#include "server/host/run_host.h"
#include "server/http/http_server.h"
#include "server/rpc/server.h"
#include "server/store/run_store.h"

namespace parley {
namespace {

constexpr char kAbout[] =
    "Coordinates a run: registers clients, gives them tasks, averages what "
    "they\n"
    "send, evaluates and keeps the model. Ends when the run is over. With "
    "--queue:\n"
    "the runs that `parley submit` hands in, one after another, until it is "
    "stopped.\n";
constexpr char kNotes[] =
    "In its folder it writes run.textproto (the run file with every default\n"
    "filled in), address and http-address (while it runs), journal,\n"
    "metrics.jsonl, checkpoint-*, and at the end model.safetensors, "
    "status.json\n"
    "and report.html. With --queue each run has such a folder below --dir,\n"
    "NAME-N.\n"
    "\n"
    "Examples:\n"
    "  $ PROGRAM --run examples/fashion_fedavg.textproto\n"
    "  $ PROGRAM --run my.textproto --set stop.rounds=50 --dir /data/run "
    "\\\n"
    "  >   --resume --listen 0.0.0.0:7070 --tls-cert server.pem --tls-key "
    "key.pem\n"
    "  $ PROGRAM --queue --dir runs --at-once 2\n"
    "\n"
    "The first Ctrl-C ends the run and writes its files, the second one ends\n"
    "the program at once. With --queue the first one leaves the runs as they\n"
    "are; the next start in the same folder goes on with them from their last\n"
    "checkpoints, and with those that are queued.\n"
    "Exit codes: 0 the run finished, or the queue's coordinator was told to "
    "end;\n"
    "1 it failed; 2 wrong usage or run file; 3 the run was stopped, by a "
    "signal "
    "or\n"
    "by `parley stop`.\n";

constexpr int kExitStopped = 3;
// For calls to end that are open when the run is over.
constexpr absl::Duration kGrace = absl::Seconds(2);

// Beside the clients': of people and scripts, and of those not registered yet.
constexpr int kSpareConnections = 1100;

constexpr int kMaxAtOnce = 64;
constexpr int kMaxClients = 1000000;

struct Settings {
  std::string run_file;
  std::vector<std::string> sets;
  std::string folder;
  bool resume = false;
  bool queue = false;
  std::optional<int64_t> at_once;
  std::optional<int64_t> max_clients;
  std::vector<CustomStrategy> strategies;
  RpcServer::Options rpc;
  std::string http;  // HOST:PORT of the live view; empty: none
  int64_t ready_fd = -1;
  int64_t threads = 0;
};

// Where clients find a server that was told to listen at `listen` and got
// `port`.
std::string AddressOf(const std::string& listen, int port) {
  if (absl::StartsWith(listen, "unix:")) return listen;
  return absl::StrCat(listen.substr(0, listen.rfind(':')), ":", port);
}

// The live view of the host's runs, where one is wanted.
struct LiveView {
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<AddressFile> address_file;
};

absl::StatusOr<LiveView> StartLiveView(const Settings& settings,
                                       LiveSource* runs) {
  LiveView view;
  if (settings.http.empty()) return view;
  HttpServer::Options options;
  options.address = settings.http;
  options.allow_insecure = settings.rpc.security.allow_insecure;
  PARLEY_ASSIGN_OR_RETURN(view.server, HttpServer::Start(options, runs));
  const std::string address = AddressOf(settings.http, view.server->port());
  view.address_file =
      std::make_unique<AddressFile>(settings.folder, kHttpAddressFile);
  PARLEY_RETURN_IF_ERROR(view.address_file->Write(address));
  LogInfo("live at http://", address);
  return view;
}

absl::Status TellReady(int fd, const std::string& address) {
  if (fd < 0) return absl::OkStatus();
  const std::string line = absl::StrCat(address, "\n");
  const bool told =
      write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  const int error = errno;
  close(fd);
  if (told) return absl::OkStatus();
  return absl::ErrnoToStatus(error, absl::StrCat("--ready-fd ", fd));
}

// Waits until the run is over; the first signal calls `stop`.
void WaitForEnd(const std::atomic<bool>& over, StopSignals& signals,
                absl::FunctionRef<void(const std::string& reason)> stop) {
  bool stopping = false;
  while (!over) {
    const int signal = signals.Wait();
    if (signal == 0) continue;
    if (std::exchange(stopping, true)) {
      LogWarning("ends at once: ", strsignal(signal));
      std::_Exit(kExitStopped);
    }
    stop(strsignal(signal));
  }
}

// Serves `config`, or the queue where there is none. The exit code.
absl::StatusOr<int> Run(Settings settings, std::optional<v1::RunConfig> config,
                        StopSignals& signals) {
  if (config) {
    PARLEY_ASSIGN_OR_RETURN(const DataFacts facts, ProbeData(*config));
    StateFacts(facts, &*config);
  }
  const std::unique_ptr<Clock> clock = MakeRealClock();
  ThreadPool control(1), setup(1);
  ThreadPool work(static_cast<int>(settings.threads));
  std::atomic<bool> over = false;
  v1::RunState end = v1::FAILED;  // once over
  RunHostOptions options;
  if (!config) options.folder = settings.folder;
  options.at_once = static_cast<int>(settings.at_once.value_or(1));
  options.max_clients =
      static_cast<int>(settings.max_clients.value_or(options.max_clients));
  options.strategies = std::move(settings.strategies);
  options.clock = clock.get();
  options.control = &control;
  options.work = &work;
  options.setup = &setup;
  if (config) {
    options.on_end = [&](const v1::RunStatus& status) {
      end = status.state();
      over = true;
      signals.Wake();
    };
  }
  // A client of several runs has a connection for each, and one that waits.
  settings.rpc.max_connections =
      kSpareConnections + (config
                               ? config->limits().clients()
                               : options.max_clients * (options.at_once + 1));
  PARLEY_ASSIGN_OR_RETURN(const std::unique_ptr<RunHost> host,
                          RunHost::Create(std::move(options)));
  if (config) {
    PARLEY_RETURN_IF_ERROR(
        host->Host(*config, settings.folder, settings.resume));
  }
  PARLEY_ASSIGN_OR_RETURN(
      const std::unique_ptr<RpcServer> server,
      RpcServer::Start(settings.rpc, host.get(), host.get()));
  const std::string address = AddressOf(settings.rpc.address, server->port());
  std::optional<AddressFile> address_file;
  if (!config) {  // a run's own is the host's
    address_file.emplace(settings.folder, kAddressFile);
    PARLEY_RETURN_IF_ERROR(address_file->Write(address));
  }
  LogInfo(config ? absl::StrCat("run ", config->name()) : "the queue",
          " listens on ", address, ", folder ", settings.folder);
  PARLEY_ASSIGN_OR_RETURN(const LiveView live,
                          StartLiveView(settings, host.get()));
  PARLEY_RETURN_IF_ERROR(host->Start(address));
  PARLEY_RETURN_IF_ERROR(
      TellReady(static_cast<int>(settings.ready_fd), address));

  WaitForEnd(over, signals, [&](const std::string& reason) {
    if (config) {
      (void)host->Stop("", absl::StrCat("stopped: ", reason));  // is there
    } else {
      LogInfo("ends: ", reason, "; the runs can be taken up again");
      // Data may be being read, for long.
      host->Shutdown(absl::StrCat("the coordinator ends: ", reason), [&] {
        over = true;
        signals.Wake();
      });
    }
  });
  if (live.server != nullptr) live.server->Shutdown();
  server->Shutdown(kGrace);
  if (!config || end == v1::FINISHED) return EXIT_SUCCESS;
  return end == v1::STOPPED ? kExitStopped : EXIT_FAILURE;
}

// Errors are wrong usage.
absl::Status CheckSettings(const Settings& settings) {
  if (absl::Status status = CheckAddress(settings.rpc.address); !status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--listen: ", status.message()));
  }
  if (settings.threads < 1 || settings.threads > 1024) {
    return absl::InvalidArgumentError("--threads must be 1 to 1024");
  }
  if (settings.queue) {
    if (!settings.run_file.empty() || !settings.sets.empty() ||
        settings.resume) {
      return absl::InvalidArgumentError(
          "--queue goes without --run, --set and --resume: runs come by "
          "`parley submit`, and are always resumed");
    }
    if (settings.at_once.value_or(1) < 1 ||
        settings.at_once.value_or(1) > kMaxAtOnce) {
      return absl::InvalidArgumentError(
          absl::StrCat("--at-once must be 1 to ", kMaxAtOnce));
    }
    if (settings.max_clients.value_or(1) < 1 ||
        settings.max_clients.value_or(1) > kMaxClients) {
      return absl::InvalidArgumentError(
          absl::StrCat("--max-clients must be 1 to ", kMaxClients));
    }
    return absl::OkStatus();
  }
  if (settings.at_once || settings.max_clients) {
    return absl::InvalidArgumentError(
        "--at-once and --max-clients go with --queue");
  }
  if (settings.run_file.empty()) {
    return absl::InvalidArgumentError(
        "--run FILE is missing (or --queue, for runs that are submitted)");
  }
  return absl::OkStatus();
}

}  // namespace

int ServerMain(int argc, char** argv, std::vector<CustomStrategy> strategies) {
  TuneProcess();
  Settings settings;
  settings.strategies = std::move(strategies);
  settings.rpc.address = "127.0.0.1:7070";
  settings.threads = std::max(1u, std::thread::hardware_concurrency());
  std::string log;
  TlsFiles& tls = settings.rpc.security.tls;

  const absl::string_view path = argc > 0 ? argv[0] : "parley-server";
  const std::string program(path.substr(path.rfind('/') + 1));
  Flags flags({.program = program,
               .arguments = "",
               .about = kAbout,
               .notes = absl::StrReplaceAll(kNotes, {{"PROGRAM", program}})});
  flags.Add("run", &settings.run_file, "FILE",
            "The run file. Required, but for --queue.");
  flags.Add("queue", &settings.queue, "",
            "Takes runs that `parley submit` hands in, until it is stopped.");
  flags.Add("at-once", &settings.at_once, "N",
            "Of a queue: so many runs side by side. Default: 1.");
  flags.Add("max-clients", &settings.max_clients, "N",
            "Of a queue: so many may wait for a run. Default: 10000.");
  flags.Add("set", &settings.sets, "PATH=VALUE",
            "Overrides a field of the run file. Repeated.");
  flags.Add(
      "listen", &settings.rpc.address, "HOST:PORT",
      "Where clients reach it; port 0: any free one. 0.0.0.0:PORT is all\n"
      "of IPv4, [::]:PORT that and IPv6; unix:PATH is a socket file.\n"
      "Default: 127.0.0.1:7070.");
  flags.Add("dir", &settings.folder, "DIR",
            "The run's folder. Default: runs/NAME, the run's name; for\n"
            "--queue: runs, where each run has a folder NAME-N.");
  flags.Add("resume", &settings.resume, "",
            "Goes on with the run in the folder from its last checkpoint;\n"
            "begins where there is none.");
  flags.Add("ready-fd", &settings.ready_fd, "FD",
            "Writes \"HOST:PORT\" and a newline there once it listens.");
  flags.Add("http", &settings.http, "HOST:PORT",
            "Shows the run live there: pages with its charts, JSON below\n"
            "/api/runs, /metrics for Prometheus. Read-only, and without TLS: "
            "beyond\n"
            "this machine only with --insecure. Port 0: any free one. "
            "Default: nowhere.");
  flags.Add("tls-ca", &tls.ca, "FILE",
            "Certificates that those of clients must descend from (PEM).");
  flags.Add("tls-cert", &tls.cert, "FILE", "The server's certificate (PEM).");
  flags.Add("tls-key", &tls.key, "FILE", "Its key (PEM).");
  flags.Add("insecure", &settings.rpc.security.allow_insecure, "",
            "Go without encryption beyond this machine, too.");
  flags.Add("threads", &settings.threads, "N",
            "Threads that fold and evaluate. Default: one a processor.");
  flags.Add("log", &log, "FILE", "Log there, not to standard error.");
  if (std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  if (absl::Status status = CheckSettings(settings); !status.ok()) {
    return flags.UsageError(status);
  }
  std::optional<v1::RunConfig> config;
  if (!settings.queue) {
    absl::StatusOr<v1::RunConfig> loaded =
        LoadRunFile(settings.run_file, settings.sets);
    if (!loaded.ok()) return flags.UsageError(loaded.status());
    config = *std::move(loaded);
  }
  if (settings.folder.empty()) {
    settings.folder = config ? absl::StrCat("runs/", config->name()) : "runs";
  }

  StopSignals signals;  // before there are threads
  absl::StatusOr<int> code = EXIT_FAILURE;
  if (absl::Status status = log.empty() ? absl::OkStatus() : LogToFile(log);
      !status.ok()) {
    code = status;
  } else {
    code = Run(std::move(settings), std::move(config), signals);
  }
  if (code.ok()) return *code;
  LogError(code.status().message());
  return EXIT_FAILURE;
}

}  // namespace parley
