#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "server/store/recorded_run.h"
#include "tools/cli/command.h"
#include "tools/sim/simulator.h"

namespace parley {
namespace {

// Runs the recorded rounds anew. The first round, if any, whose model differs.
absl::StatusOr<std::optional<int64_t>> FirstDifference(const RecordedRun& run,
                                                       int64_t* rounds) {
  SimulatorOptions options;
  options.config = run.opened.config();
  if (!options.config.data().has_train()) {
    return absl::FailedPreconditionError(
        "the clients of this run trained on data of their own, which is not "
        "here: it cannot be replayed");
  }
  options.threads = std::max(1u, std::thread::hardware_concurrency());
  options.script = ReplayScript(run);
  if (options.script.empty()) {
    return absl::FailedPreconditionError("the run has no committed round");
  }
  std::optional<int64_t> differs;
  options.on_round = [&](const RoundReport& round) {
    ++*rounds;
    const auto recorded = run.rounds.find(round.round);
    const bool same =
        recorded != run.rounds.end() && recorded->second.committed &&
        recorded->second.committed->model_hash() == round.model_hash;
    if (!same && !differs.has_value()) differs = round.round;
  };
  options.say = [](LogLevel level, const std::string& text) {
    if (level != LogLevel::kInfo) absl::FPrintF(stderr, "%s\n", text);
  };
  const int64_t expected = static_cast<int64_t>(options.script.size());
  const auto result = Simulate(std::move(options));
  if (!result.ok()) return result.status();
  if (*rounds != expected) {
    return absl::InternalError(
        absl::StrCat("only ", *rounds, " of ", expected,
                     " rounds were run again: ", result->status.detail()));
  }
  return differs;
}

}  // namespace

int ReplayCommand(int argc, const char* const* argv) {
  Flags flags(
      {"parley replay", "RUN",
       "Runs a recorded run again, from its folder, with the clients that "
       "counted in each\nround, and compares each round's model bit for bit. "
       "Holds for the same build on the\nsame type of CPU.\n",
       "Example:\n  parley replay runs/fashion_fedavg-1\n"
       "\n"
       "Exit codes: 0 every model is the same; 1 one differs, or the run "
       "cannot be replayed;\n2 the command line is wrong.\n",
       1, 1});
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  const auto run = ReadRecordedRun(flags.arguments()[0]);
  if (!run.ok()) return Complain(run.status());
  int64_t rounds = 0;
  const auto differs = FirstDifference(*run, &rounds);
  if (!differs.ok()) return Complain(differs.status());
  if (differs->has_value()) {
    return Complain(absl::DataLossError(absl::StrCat(
        "round ", **differs, " ends with another model than was recorded")));
  }
  absl::PrintF("%d rounds run again: every model is the same, bit for bit\n",
               rounds);
  return kExitOk;
}

}  // namespace parley
