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

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/flags.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signals.h"
#include "common/config/facts.h"
#include "common/config/load.h"
#include "common/files/file_io.h"
#include "common/rpc/address.h"
#include "common/rpc/process.h"
#include "server/http/http_server.h"
#include "server/http/live_runs.h"
#include "server/round/round_driver.h"
#include "server/rpc/server.h"

namespace parley {
namespace {

constexpr char kAbout[] =
    "Coordinates a run: registers clients, gives them tasks, averages what "
    "they\n"
    "send, evaluates and keeps the model. Ends when the run is over.\n";
constexpr char kNotes[] =
    "In its folder it writes run.textproto (the run file with every default\n"
    "filled in), address and http-address (while it runs), journal,\n"
    "metrics.jsonl, checkpoint-*, and at the end model.safetensors, "
    "status.json\n"
    "and report.html.\n"
    "\n"
    "Examples:\n"
    "  PROGRAM --run examples/fashion_fedavg.textproto\n"
    "  PROGRAM --run my.textproto --set stop.rounds=50 --dir /data/run "
    "\\\n"
    "    --resume --listen 0.0.0.0:7070 --tls-cert server.pem --tls-key "
    "key.pem\n"
    "\n"
    "The first Ctrl-C ends the run and writes its files, the second one ends\n"
    "the program at once.\n"
    "Exit codes: 0 the run finished; 1 it failed; 2 wrong usage or run file;\n"
    "3 it was stopped, by a signal or by `parley stop`.\n";

constexpr int kExitStopped = 3;
// For calls to end that are open when the run is over.
constexpr absl::Duration kGrace = absl::Seconds(2);

// Beside the clients': of people and scripts, and of those not registered yet.
constexpr int kSpareConnections = 1100;

struct Settings {
  std::string run_file;
  std::vector<std::string> sets;
  std::string folder;
  bool resume = false;
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

absl::Status Replace(const std::string& path, const std::string& text) {
  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReplacer::Create(path));
  PARLEY_RETURN_IF_ERROR(file->Write(text));
  return file->Commit();
}

// `address` or `http-address` of the run's folder, while it lives.
class AddressFile {
 public:
  explicit AddressFile(std::string path) : path_(std::move(path)) {}
  ~AddressFile() { unlink(path_.c_str()); }
  AddressFile(const AddressFile&) = delete;
  AddressFile& operator=(const AddressFile&) = delete;

  absl::Status Write(const std::string& address) {
    return Replace(path_, absl::StrCat(address, "\n"));
  }

 private:
  const std::string path_;
};

// The live view, and what tells it of the run.
struct LiveView {
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<AddressFile> address_file;
};

absl::StatusOr<LiveView> StartLiveView(const Settings& settings,
                                       LiveRuns* runs) {
  LiveView view;
  if (settings.http.empty()) return view;
  HttpServer::Options options;
  options.address = settings.http;
  options.allow_insecure = settings.rpc.security.allow_insecure;
  PARLEY_ASSIGN_OR_RETURN(view.server, HttpServer::Start(options, runs));
  const std::string address = AddressOf(settings.http, view.server->port());
  view.address_file = std::make_unique<AddressFile>(
      absl::StrCat(settings.folder, "/", kHttpAddressFile));
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

// Waits until the run is over; a signal stops it.
v1::RunStatus WaitForEnd(RoundDriver& driver, const std::atomic<bool>& over,
                         StopSignals& signals) {
  bool stopping = false;
  while (!over) {
    const int signal = signals.Wait();
    if (signal == 0) continue;
    if (std::exchange(stopping, true)) {
      LogWarning("ends at once: ", strsignal(signal));
      std::_Exit(kExitStopped);
    }
    driver.Stop(absl::StrCat("stopped: ", strsignal(signal)));
  }
  return driver.Wait();
}

absl::StatusOr<v1::RunState> Run(Settings settings, v1::RunConfig config,
                                 StopSignals& signals) {
  PARLEY_ASSIGN_OR_RETURN(const DataFacts facts, ProbeData(config));
  StateFacts(facts, &config);

  const std::unique_ptr<Clock> clock = MakeRealClock();
  LiveRuns live_runs;  // the driver tells it
  ThreadPool control(1);
  ThreadPool work(static_cast<int>(settings.threads));
  std::atomic<bool> over = false;
  RoundDriverOptions options;
  options.config = config;
  options.folder = settings.folder;
  options.resume = settings.resume;
  options.strategies = std::move(settings.strategies);
  options.clock = clock.get();
  options.control = &control;
  options.work = options.parallel = &work;
  options.on_end = [&](const v1::RunStatus&) {
    over = true;
    signals.Wake();
  };
  PARLEY_ASSIGN_OR_RETURN(const std::unique_ptr<RoundDriver> driver,
                          RoundDriver::Create(std::move(options)));
  // The folder is ours from here on.
  AddressFile address_file(absl::StrCat(settings.folder, "/", kAddressFile));

  settings.rpc.max_connections = config.limits().clients() + kSpareConnections;
  PARLEY_ASSIGN_OR_RETURN(const std::unique_ptr<RpcServer> server,
                          RpcServer::Start(settings.rpc, driver.get()));
  const std::string address = AddressOf(settings.rpc.address, server->port());
  PARLEY_RETURN_IF_ERROR(address_file.Write(address));
  LogInfo("run ", config.name(), " listens on ", address, ", folder ",
          settings.folder);
  PARLEY_ASSIGN_OR_RETURN(const LiveView live,
                          StartLiveView(settings, &live_runs));
  if (live.server != nullptr) {
    driver->Watch([&](const v1::RunStatus& status) { live_runs.Tell(status); });
  }
  driver->Start();
  PARLEY_RETURN_IF_ERROR(
      TellReady(static_cast<int>(settings.ready_fd), address));

  const v1::RunStatus status = WaitForEnd(*driver, over, signals);
  LogInfo("run ", status.run(), " is over: ", v1::RunState_Name(status.state()),
          ", ", status.detail(), "; ", status.round(), " rounds in ",
          status.seconds(), " s");
  if (live.server != nullptr) live.server->Shutdown();
  server->Shutdown(kGrace);
  return status.state();
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
  flags.Add("run", &settings.run_file, "FILE", "The run file. Required.");
  flags.Add("set", &settings.sets, "PATH=VALUE",
            "Overrides a field of the run file. Repeated.");
  flags.Add(
      "listen", &settings.rpc.address, "HOST:PORT",
      "Where clients reach it; port 0: any free one. 0.0.0.0:PORT is all\n"
      "of IPv4, [::]:PORT that and IPv6; unix:PATH is a socket file.\n"
      "Default: 127.0.0.1:7070.");
  flags.Add("dir", &settings.folder, "DIR",
            "The run's folder. Default: runs/NAME, the run's name.");
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
  if (settings.run_file.empty()) {
    return flags.UsageError(
        absl::InvalidArgumentError("--run FILE is missing"));
  }
  if (settings.threads < 1 || settings.threads > 1024) {
    return flags.UsageError(
        absl::InvalidArgumentError("--threads must be 1 to 1024"));
  }
  if (absl::Status status = CheckAddress(settings.rpc.address); !status.ok()) {
    return flags.UsageError(absl::InvalidArgumentError(
        absl::StrCat("--listen: ", status.message())));
  }
  absl::StatusOr<v1::RunConfig> config =
      LoadRunFile(settings.run_file, settings.sets);
  if (!config.ok()) return flags.UsageError(config.status());
  if (settings.folder.empty()) {
    settings.folder = absl::StrCat("runs/", config->name());
  }

  StopSignals signals;  // before there are threads
  absl::StatusOr<v1::RunState> state = v1::FAILED;
  if (absl::Status status = log.empty() ? absl::OkStatus() : LogToFile(log);
      !status.ok()) {
    state = status;
  } else {
    state = Run(std::move(settings), *std::move(config), signals);
  }
  if (!state.ok()) {
    LogError(state.status().message());
    return EXIT_FAILURE;
  }
  return *state == v1::FINISHED  ? EXIT_SUCCESS
         : *state == v1::STOPPED ? kExitStopped
                                 : EXIT_FAILURE;
}

}  // namespace parley
