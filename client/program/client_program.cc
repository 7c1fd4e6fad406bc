#include "client/program/client_program.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/program/builtin_client.h"
#include "client/program/gossip_peer.h"
#include "client/program/outcome.h"
#include "client/program/rendezvous_peer.h"
#include "client/rpc/coordinator_client.h"
#include "client/session/client_runs.h"
#include "client/session/config_trainer.h"
#include "client/state/identity.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/flags.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signals.h"
#include "common/config/own_data.h"
#include "common/rpc/address.h"
#include "common/rpc/process.h"

namespace parley {
namespace {

constexpr char kBuiltinName[] = "parley-client";
constexpr char kAbout[] =
    "Joins the run of a coordinator, trains its model on data that stays "
    "here,\n"
    "and sends what changed. Ends when the run is over; where the coordinator "
    "has a\n"
    "queue of runs it stays for all of them. With --gossip: exchanges models "
    "with\n"
    "its neighbours directly, without a coordinator.\n";
constexpr char kNotes[] =
    "Where a connection is lost it is made again, and nothing is computed "
    "twice.\n"
    "\n"
    "Examples:\n"
    "  $ PROGRAM --server localhost:7070\n"
    "  $ PROGRAM --server a.example:7070 --server b.example:7070 \\\n"
    "  >   --tls-ca ca.pem --state /var/lib/parley --data DATA\n"
    "  $ PROGRAM --gossip ring.textproto --peers peers.textproto --index 0 \\\n"
    "  >   --dir runs/ring-0\n"
    "\n"
    "peers.textproto lists all peers, and is the same at each of them:\n"
    "  peers { name: \"a\" address: \"a.example:7071\" }\n"
    "  peers { name: \"b\" address: \"b.example:7071\" }\n"
    "\n"
    "Ctrl-C, or SIGTERM, ends it. A peer of a gossip run hands over to the "
    "others\n"
    "first, after the round that it is in; a second one ends it at once.\n"
    "\n"
    "Exit codes: 0 the run is over, or Ctrl-C; 1 it failed; 2 wrong usage.\n";

struct Settings {
  CoordinatorSessionOptions session;
  RendezvousPeerOptions peer;
  GossipFlags gossip;
  DialOptions dial;
  std::string own_data;  // empty: a part of the run's, or none
  std::string log;
};

// What makes one client program another.
struct Program {
  std::string name;
  std::string default_data;  // of --data
  std::string data_help;
  // Whether --data may be this, which is no part.
  std::function<absl::Status(absl::string_view data)> check_data;
  // From the settings, once they are read.
  std::function<TrainerFactory(const Settings&)> factory;
};

// "part:auto", "part:3", or data of one's own.
absl::Status ReadData(const Program& program, absl::string_view data,
                      Settings* settings) {
  absl::string_view part = data;
  int32_t number = 0;
  if (absl::ConsumePrefix(&part, "part:") &&
      (part == "auto" || (absl::SimpleAtoi(part, &number) && number >= 0))) {
    settings->session.wants_part = true;
    if (part != "auto") settings->session.part = number;
    return absl::OkStatus();
  }
  settings->own_data = std::string(data);
  return program.check_data(data);
}

absl::Status ReadLabels(const std::vector<std::string>& labels,
                        Settings* settings) {
  for (const std::string& label : labels) {
    const std::pair<std::string, std::string> pair =
        absl::StrSplit(label, absl::MaxSplits('=', 1));
    if (pair.first.empty() || !absl::StrContains(label, '=')) {
      return absl::InvalidArgumentError(
          absl::StrCat("--label: \"", label, "\" is not KEY=VALUE"));
    }
    settings->session.labels.insert(pair);
  }
  return absl::OkStatus();
}

// Errors are wrong usage.
absl::Status ReadSettings(const Program& program, const std::string& data,
                          const std::vector<std::string>& labels,
                          std::optional<double> max_offline,
                          const std::string& state, Settings* settings) {
  if (settings->gossip.any()) {
    const RendezvousPeerOptions& peer = settings->peer;
    if (!peer.listen.empty() || !peer.address.empty() ||
        !peer.save_model.empty()) {
      return absl::InvalidArgumentError(
          "--peer-listen, --peer-address and --save-model are for gossip that "
          "a coordinator brings together; with --gossip it is --listen and "
          "--dir");
    }
    if (!settings->session.servers.empty() || !labels.empty() || max_offline ||
        !state.empty()) {
      return absl::InvalidArgumentError(
          "--server, --label, --max-offline and --state are for a run of a "
          "coordinator, --gossip is for one without");
    }
  } else if (settings->session.servers.empty()) {
    return absl::InvalidArgumentError(
        "--server HOST:PORT is missing: where is the coordinator? Or --gossip "
        "FILE for a run without one");
  }
  for (const std::string& server : settings->session.servers) {
    if (absl::Status status = CheckAddress(server); !status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--server: ", status.message()));
    }
  }
  const std::pair<const char*, const std::string*> kAddresses[] = {
      {"--peer-listen: ", &settings->peer.listen},
      {"--peer-address: ", &settings->peer.address}};
  for (const auto& [flag, address] : kAddresses) {
    if (address->empty()) continue;
    absl::Status status = CheckAddress(*address);
    if (status.ok() && absl::StartsWith(*address, "unix:")) {
      status = absl::InvalidArgumentError("must be HOST:PORT");
    }
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(flag, status.message()));
    }
  }
  if (!settings->session.name.empty()) {
    PARLEY_RETURN_IF_ERROR(CheckClientName(settings->session.name));
  }
  if (max_offline) {
    if (!(*max_offline > 0)) {
      return absl::InvalidArgumentError("--max-offline must be > 0");
    }
    settings->session.max_offline = absl::Seconds(*max_offline);
  }
  if (settings->session.max_model_bytes < 1) {
    return absl::InvalidArgumentError("--max-model-bytes must be >= 1");
  }
  PARLEY_RETURN_IF_ERROR(ReadLabels(labels, settings));
  return ReadData(program, data, settings);
}

// Of it a client holds up to two copies, and its trainer about as many.
int64_t QuarterOfMemory() {
  return int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGE_SIZE) / 4;
}

absl::Status Run(const Program& program, Settings settings,
                 const std::string& state, StopSignals* signals) {
  if (!settings.log.empty()) {
    PARLEY_RETURN_IF_ERROR(LogToFile(settings.log));
  }
  PARLEY_ASSIGN_OR_RETURN(settings.session.name,
                          ClientName(settings.session.name, state));
  settings.session.state_folder = state;
  const std::unique_ptr<Clock> clock = MakeRealClock();
  settings.peer.dial = settings.dial;
  settings.peer.clock = clock.get();
  std::atomic<int> peers_at_work = 0;
  settings.peer.at_work = &peers_at_work;
  ThreadPool control(1), work(1);
  TrainerFactory factory = program.factory(settings);
  PARLEY_ASSIGN_OR_RETURN(
      const std::unique_ptr<ClientRuns> runs,
      ClientRuns::Create(
          std::move(settings.session),
          {[dial = settings.dial] {
             return std::make_unique<CoordinatorClient>(dial);
           },
           clock.get(), &control, &work,
           [peer = settings.peer] { return MakeRendezvousPeer(peer); }},
          std::move(factory)));
  Outcome outcome(signals);
  runs->Start(
      [&outcome](absl::Status status) { outcome.Set(std::move(status)); });
  outcome.Wait(
      [&](const std::string& reason) {
        const bool hands_over = peers_at_work > 0;
        LogInfo(hands_over ? "leaves (a second signal ends it at once): "
                           : "ends: ",
                reason);
        runs->Leave(reason);
        return hands_over;
      },
      [&runs](const std::string& reason) { runs->Stop(reason); });
  return outcome.status();
}

int GossipMain(const Program& program, const Settings& settings,
               const Flags& flags) {
  absl::StatusOr<GossipPart> part =
      ReadGossipPart(settings.gossip, settings.session.name,
                     !settings.session.wants_part, settings.session.part);
  if (!part.ok()) return flags.UsageError(part.status());
  part->dial = settings.dial;
  part->max_model_bytes = settings.session.max_model_bytes;
  StopSignals signals;  // before there are threads
  absl::Status status =
      settings.log.empty() ? absl::OkStatus() : LogToFile(settings.log);
  if (status.ok()) {
    status =
        RunGossipPeer(*std::move(part), program.factory(settings), &signals);
  }
  if (status.ok()) return EXIT_SUCCESS;
  LogError(status.message());
  return EXIT_FAILURE;
}

int Main(int argc, char** argv, const Program& program) {
  TuneProcess();
  Settings settings;
  std::string state, data = program.default_data;
  std::vector<std::string> labels;
  std::optional<double> max_offline;
  int64_t lookahead = kDefaultLookaheadBytes;
  settings.session.max_model_bytes = QuarterOfMemory();
  TlsFiles& tls = settings.dial.security.tls;

  Flags flags(
      {.program = program.name,
       .arguments = "",
       .about = kAbout,
       .notes = absl::StrReplaceAll(kNotes, {{"PROGRAM", program.name}})});
  flags.Add("server", &settings.session.servers, "HOST:PORT",
            "The coordinator. Repeated: the first that answers.");
  flags.Add("data", &data, "DATA", program.data_help);
  flags.Add("name", &settings.session.name, "NAME",
            "A name that stays, of letters, digits, dots, dashes and\n"
            "underscores. Default: the one kept in --state, else a new one.");
  flags.Add(
      "state", &state, "DIR",
      "Where to keep the name, and tensors that never leave this client.");
  flags.Add("label", &labels, "KEY=VALUE",
            "Tells the coordinator something about this client. Repeated.");
  flags.Add("tls-ca", &tls.ca, "FILE",
            "Certificates that the coordinator's, or the other peers', must\n"
            "descend from (PEM).");
  flags.Add("tls-cert", &tls.cert, "FILE", "This client's certificate (PEM).");
  flags.Add("tls-key", &tls.key, "FILE", "Its key (PEM).");
  flags.Add("insecure", &settings.dial.security.allow_insecure, "",
            "Go without encryption beyond this machine, too.");
  flags.Add("max-offline", &max_offline, "SECONDS",
            "Give up when no coordinator was reached for so long. Default:\n"
            "never.");
  flags.Add("max-model-bytes", &settings.session.max_model_bytes, "BYTES",
            "Join no run with a larger model. Default: a quarter of this\n"
            "machine's memory.");
  flags.Add("lookahead", &lookahead, "BYTES",
            "How far a sender may be ahead of this client; should be the\n"
            "link's bandwidth times its round trip. Default: 1048576, with\n"
            "which 40 ms there and back carry 8 MB/s.");
  flags.Add("peer-listen", &settings.peer.listen, "HOST:PORT",
            "In a gossip run of the coordinator: where other peers dial this\n"
            "one. Default: a free port of the address by which it reaches the\n"
            "coordinator.");
  flags.Add("peer-address", &settings.peer.address, "HOST:PORT",
            "What the other peers are told to dial, where it is another one\n"
            "(NAT, containers). Port 0: that of --peer-listen.");
  flags.Add("save-model", &settings.peer.save_model, "FILE",
            "In a gossip run of the coordinator: where to put the model that\n"
            "it ends with, the average of all peers (.safetensors).");
  GossipFlags& gossip = settings.gossip;
  flags.Add("gossip", &gossip.run_file, "FILE",
            "Take part in this run as a peer. The other peers have the same\n"
            "file; where data lies may differ.");
  flags.Add("peers", &gossip.peers_file, "FILE",
            "The list of the run's peers. This one is found by --name or\n"
            "--index, and by default takes the part of the data of its index.");
  flags.Add("index", &gossip.index, "N", "This peer's place in it, from 0.");
  flags.Add("listen", &gossip.listen, "HOST:PORT",
            "Where other peers dial this one. Default: its address in the\n"
            "list.");
  flags.Add("dir", &gossip.folder, "DIR",
            "Where a peer puts its metrics.jsonl and its model.safetensors.");
  flags.Add("log", &settings.log, "FILE", "Log there, not to standard error.");
  if (std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  if (absl::Status status =
          ReadSettings(program, data, labels, max_offline, state, &settings);
      !status.ok()) {
    return flags.UsageError(status);
  }
  settings.dial.lookahead_bytes =
      static_cast<int>(std::clamp<int64_t>(lookahead, 1 << 16, 1 << 30));
  if (settings.gossip.any()) return GossipMain(program, settings, flags);
  settings.session.software = absl::StrCat(program.name, " ", kVersion);
  settings.session.incarnation = NewIncarnation();

  StopSignals signals;  // before there are threads
  absl::Status status = Run(program, std::move(settings), state, &signals);
  if (status.ok()) return EXIT_SUCCESS;
  LogError(status.message());
  return EXIT_FAILURE;
}

// ---------------------------------------------------------- the two programs

absl::Status CheckBuiltinData(absl::string_view data) {
  const absl::Status status = CheckOwnData(data);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(
      "--data: ", status.message(), ", or part:auto, part:NUMBER"));
}

// A custom program's own data: any text, and none is fine.
absl::Status CheckAnyData(absl::string_view) { return absl::OkStatus(); }

}  // namespace

int BuiltinClientMain(int argc, char** argv) {
  return Main(
      argc, argv,
      {.name = kBuiltinName,
       .default_data = "part:auto",
       .data_help = absl::StrCat(
           "What to train on: part:auto, a part of the run's data as the\n"
           "coordinator says (the default); part:3, this very part; or\n"
           "this client's own:\n",
           absl::StrReplaceAll(OwnDataForms(), {{", ", "\n"}})),
       .check_data = CheckBuiltinData,
       .factory = [](const Settings& settings) -> TrainerFactory {
         return [own_data = settings.own_data](const v1::RunConfig& config,
                                               std::optional<int32_t> part) {
           return MakeConfigTrainer(config, part, own_data);
         };
       }});
}

int ClientMain(int argc, char** argv, MakeTrainer make_trainer) {
  const absl::string_view path = argc > 0 ? argv[0] : "client";
  return Main(
      argc, argv,
      {.name = std::string(path.substr(path.rfind('/') + 1)),
       .default_data = "",
       .data_help = "What to train on, as this program understands it.\n"
                    "part:auto and part:N ask for a part of the run's data.",
       .check_data = CheckAnyData,
       .factory = [&make_trainer](const Settings& settings) -> TrainerFactory {
         return [&make_trainer, client = settings.session.name,
                 data = settings.own_data](const v1::RunConfig& config,
                                           std::optional<int32_t> part) {
           return make_trainer({.run = config.name(),
                                .client = client,
                                .data = data,
                                .part = part,
                                .parts = config.data().partition().parts()});
         };
       }});
}

}  // namespace parley
