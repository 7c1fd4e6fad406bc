// The subcommands of `parley`, and what they share.
#ifndef PARLEY_TOOLS_CLI_COMMAND_H_
#define PARLEY_TOOLS_CLI_COMMAND_H_

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace parley {

// Exit codes; kExitUsage of base/flags.h (2) stands for a wrong command line or
// run file.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitStopped = 3;  // the run was stopped before its end

struct Command {
  const char* name;
  const char* summary;
  // argv[0] is the command's name. Returns the exit code.
  int (*run)(int argc, const char* const* argv);
};

// One file each: NAME_command.cc.
int RunCommand(int argc, const char* const* argv);
int SimulateCommand(int argc, const char* const* argv);
int ExplainCommand(int argc, const char* const* argv);
int SubmitCommand(int argc, const char* const* argv);
int LsCommand(int argc, const char* const* argv);
int WatchCommand(int argc, const char* const* argv);
int StopCommand(int argc, const char* const* argv);
int ReportCommand(int argc, const char* const* argv);
int StudyCommand(int argc, const char* const* argv);
int ReplayCommand(int argc, const char* const* argv);
int TopologyCommand(int argc, const char* const* argv);
int ModelCommand(int argc, const char* const* argv);
int VersionCommand(int argc, const char* const* argv);

// All of them, in the order of the help page.
absl::Span<const Command> Commands();

// `parley`, whole: argv[0] is the program's name.
int Main(int argc, const char* const* argv);

// Finds argv[1] in the table and runs it with the rest; "help", --help, no
// command, or an unknown one give the page that `about` and `notes` frame.
int Dispatch(const char* program, absl::Span<const Command> commands,
             const char* about, const char* notes, int argc,
             const char* const* argv);

// Says on standard error what went wrong, and returns `code`.
int Complain(const absl::Status& status, int code = kExitFailed);

}  // namespace parley

#endif  // PARLEY_TOOLS_CLI_COMMAND_H_
