#include "tools/cli/command.h"

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "common/base/nearest.h"

namespace parley {
namespace {

constexpr Command kCommands[] = {
    {"run", "Run a run file: a coordinator and its clients, on this machine.",
     RunCommand},
    {"simulate", "Run a run file in one process and in virtual time.",
     SimulateCommand},
    {"explain", "Print a run file with all defaults, and what it will cost.",
     ExplainCommand},
    {"submit", "Hand a run file to a coordinator with a queue.", SubmitCommand},
    {"ls", "List the runs of a folder or of a coordinator.", LsCommand},
    {"watch", "Follow a run until it ends.", WatchCommand},
    {"stop", "End a run after what is under way.", StopCommand},
    {"report", "Show runs as charts, or write them for TensorBoard.",
     ReportCommand},
    {"study", "Run a paper's question: many runs and one report of them.",
     StudyCommand},
    {"replay", "Run a recorded run again and compare the models.",
     ReplayCommand},
    {"topology", "Show how a graph of peers mixes, and draw it.",
     TopologyCommand},
    {"model", "Show, export and import models.", ModelCommand},
    {"version", "Print the version.", VersionCommand},
};

constexpr char kAbout[] =
    "Trains one model over many machines whose data stays where it is.\n";

constexpr char kNotes[] =
    "`parley COMMAND --help` tells more about each.\n"
    "\n"
    "Examples:\n"
    "  $ parley run examples/fashion_fedavg.textproto\n"
    "  $ parley run examples/fashion_fedavg.textproto --set stop.rounds=5\n"
    "  $ parley ls\n"
    "  $ parley model export runs/fashion_fedavg-1 model.npz\n"
    "\n"
    "Exit codes:\n"
    "  0  done\n"
    "  1  failed\n"
    "  2  the command line or the run file is wrong\n"
    "  3  the run was stopped before its end\n";

}  // namespace

absl::Span<const Command> Commands() { return kCommands; }

int Main(int argc, const char* const* argv) {
  return Dispatch("parley", Commands(), kAbout, kNotes, argc, argv);
}

int Dispatch(const char* program, absl::Span<const Command> commands,
             const char* about, const char* notes, int argc,
             const char* const* argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  std::vector<std::string> names;
  for (const Command& command : commands) {
    if (name == command.name) return command.run(argc - 1, argv + 1);
    names.push_back(command.name);
  }
  if (name == "--version") return VersionCommand(argc - 1, argv + 1);
  const bool asked = name == "help" || name == "--help" || name == "-h";
  if (!asked && !name.empty()) {
    const std::string nearest = Nearest(name, names);
    absl::FPrintF(
        stderr, "%s: unknown command \"%s\"%s\nSee %s --help.\n", program, name,
        nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?"),
        program);
    return kExitUsage;
  }
  size_t width = 0;
  for (const Command& command : commands) {
    width = std::max(width, std::strlen(command.name));
  }
  std::string page = absl::StrCat(
      "Usage: ", program, " COMMAND [arguments]\n\n", about, "\nCommands:\n");
  for (const Command& command : commands) {
    absl::StrAppendFormat(&page, "  %-*s  %s\n", static_cast<int>(width),
                          command.name, command.summary);
  }
  absl::StrAppend(&page, "\n", notes);
  std::fputs(page.c_str(), asked ? stdout : stderr);
  return asked ? kExitOk : kExitUsage;
}

int Complain(const absl::Status& status, int code) {
  absl::FPrintF(stderr, "%s\n", status.message());
  return code;
}

}  // namespace parley
