#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "common/base/json.h"
#include "common/config/load.h"
#include "common/report/metrics_log.h"
#include "tools/cli/command.h"
#include "tools/cli/progress.h"
#include "tools/cli/run_folder.h"
#include "tools/sim/simulator.h"

namespace parley {
namespace {

// Of gossip: how far apart the peers are, and what a round's mixing did about
// it, at most ρ.
std::string ConsensusText(const RoundReport& round) {
  const auto metric = [&round](const char* name) {
    const auto it = round.metrics.find(name);
    return it == round.metrics.end() ? std::nullopt : std::optional(it->second);
  };
  std::string text;
  if (const auto x = metric("consensus")) {
    absl::StrAppendFormat(&text, "  consensus %.3g", *x);
  }
  if (const auto x = metric("contraction")) {
    absl::StrAppendFormat(&text, "  contraction %.3f", *x);
    if (const auto rho = metric("rho")) {
      absl::StrAppendFormat(&text, " (ρ %.3f)", *rho);
    }
  }
  return text;
}

std::string RoundLine(const RoundReport& round, int64_t rounds) {
  const EvaluationReport& quality =
      round.central.loss.has_value() ? round.central : round.federated;
  const auto measured = [&round](const char* name) -> std::optional<double> {
    const auto it = round.direction.find(name);
    if (it == round.direction.end()) return std::nullopt;
    return it->second;
  };
  const std::string direction =
      FormatDirection(measured("gap"), measured("log_loss"));
  return absl::StrCat(
      absl::StrFormat("round %d/%d  %s", round.round, rounds,
                      FormatQuality(quality.loss.has_value() ? quality.loss
                                                             : round.train_loss,
                                    quality.accuracy)),
      direction.empty() ? "" : "  ", direction, ConsensusText(round));
}

}  // namespace

int SimulateCommand(int argc, const char* const* argv) {
  std::vector<std::string> sets;
  std::optional<int64_t> clients;
  int64_t threads = std::max(1u, std::thread::hardware_concurrency());
  std::string folder;
  bool json = false;
  Flags flags(
      {"parley simulate", "FILE",
       "Runs a run file in this one process and in virtual time: the same "
       "protocol and the\nsame model, bit for bit, as parley run (but for "
       "ad_psgd, where who meets when\nis chance in a run).\n",
       "Examples:\n"
       "  $ parley simulate examples/fashion_softmax.textproto --clients 1000\n"
       "  $ parley simulate FILE --json | python3 -c 'import json, sys; ...'\n"
       "\n"
       "Exit codes: 0 the run finished; 1 it failed; 2 the command line or the "
       "run file is\nwrong; 3 it was stopped.\n",
       1, 1});
  flags.Add("set", &sets, "FIELD=VALUE",
            "Change a field of the run file; may be repeated.");
  flags.Add("clients", &clients, "N",
            "Deal the data out to N clients; the same as\n"
            "--set data.partition.parts=N. Default: what the run file says.");
  flags.Add("threads", &threads, "N",
            "That train at once; the result is the same. Default: all cores.");
  flags.Add("dir", &folder, "FOLDER",
            "Leave there what parley run leaves. Default: no files.");
  flags.Add("json", &json, "",
            "Print the rounds as JSON, a line each, as in metrics.jsonl.");
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  if (threads < 1) {
    return Complain(absl::InvalidArgumentError("--threads: must be at least 1"),
                    kExitUsage);
  }
  if (clients.has_value()) {
    sets.push_back(absl::StrCat("data.partition.parts=", *clients));
  }
  auto config = LoadRunFile(flags.arguments()[0], sets);
  if (!config.ok()) return Complain(config.status(), kExitUsage);
  if (!config->data().has_train()) {
    return Complain(absl::InvalidArgumentError(absl::StrCat(
                        flags.arguments()[0],
                        " has no data.train that clients could be given")),
                    kExitUsage);
  }
  if (!folder.empty()) {
    if (const absl::Status s = MakeEmptyFolder(folder); !s.ok()) {
      return Complain(s);
    }
  }

  SimulatorOptions options;
  options.config = *std::move(config);
  options.threads = static_cast<int>(threads);
  options.folder = folder;
  const int64_t rounds = options.config.stop().rounds();
  options.on_round = [json, rounds](const RoundReport& round) {
    const std::string line =
        json ? ToJsonLine(round) : RoundLine(round, rounds);
    absl::PrintF("%s\n", line);
  };
  options.say = [](LogLevel level, const std::string& text) {
    // What it measures against may take minutes to find.
    if (level != LogLevel::kInfo || absl::StartsWith(text, "direction_gap: ")) {
      absl::FPrintF(stderr, "%s\n", text);
    }
  };
  const auto result = Simulate(std::move(options));
  if (!result.ok()) return Complain(result.status());
  const v1::RunStatus& status = result->status;
  if (!json) {
    absl::PrintF("%s in %s of virtual time, model %016x\n",
                 status.detail().empty() ? "done" : status.detail(),
                 FormatSpan(result->virtual_time), result->model.Hash());
  }
  switch (status.state()) {
    case v1::FINISHED:
      return kExitOk;
    case v1::STOPPED:
      return kExitStopped;
    default:
      return Complain(absl::InternalError(status.detail()));
  }
}

}  // namespace parley
