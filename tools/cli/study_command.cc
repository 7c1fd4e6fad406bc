#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/base/executor.h"
#include "common/base/flags.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signals.h"
#include "common/files/file_io.h"
#include "server/store/run_store.h"
#include "tools/cli/command.h"
#include "tools/cli/fellow.h"
#include "tools/cli/local_run.h"
#include "tools/cli/run_folder.h"
#include "tools/study/cell_folder.h"
#include "tools/study/study_file.h"
#include "tools/study/study_progress.h"
#include "tools/study/study_report.h"
#include "tools/study/study_runner.h"

namespace parley {
namespace {

constexpr char kStudyFile[] = "study.textproto";

// Holds the lock of a study's folder while it lives.
class StudyFolder {
 public:
  // Makes it where it is missing. FailedPrecondition: another study runs there.
  static absl::StatusOr<std::unique_ptr<StudyFolder>> Open(
      const std::string& path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
    }
    std::unique_ptr<StudyFolder> folder(new StudyFolder(fd));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("another study runs in ", path));
    }
    return folder;
  }
  ~StudyFolder() { close(fd_); }
  StudyFolder(const StudyFolder&) = delete;
  StudyFolder& operator=(const StudyFolder&) = delete;

 private:
  explicit StudyFolder(int fd) : fd_(fd) {}

  const int fd_;
};

// Runs a cell as `parley run` runs its run file.
absl::Status RunInProcesses(const Cell& cell, const std::string& folder) {
  LocalRun::Options options;
  PARLEY_ASSIGN_OR_RETURN(options.server, Fellow("parley-server"));
  PARLEY_ASSIGN_OR_RETURN(std::string client, Fellow("parley-client"));
  options.client = {std::move(client)};
  options.run_file = absl::StrCat(folder, "/", kRunFile);
  options.folder = folder;
  options.clients = cell.config.data().partition().parts();
  const std::string log = absl::StrCat(folder, "/progress.log");
  std::FILE* const out = std::fopen(log.c_str(), "w");
  if (out == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", log));
  }
  absl::Status ran;
  {
    ProgressPrinter printer(out, false, 0);
    ran = LocalRun(std::move(options), &printer).Run();
  }
  std::fclose(out);
  return ran;
}

struct Asked {
  std::string folder;
  int threads = 1;
  bool processes = false;
  bool json = false;
};

// Runs what is open. Returns whether it was interrupted.
bool RunCells(const StudyCells& cells, const Asked& asked,
              StudyProgress* progress, std::vector<CellState>* states) {
  StopSignals signals;
  StudyRunner::Options options;
  options.folder = asked.folder;
  options.threads = asked.processes ? 1 : asked.threads;
  StudyRunner* running = nullptr;
  options.on_change = [&](size_t cell, const CellState& state) {
    if (state.kind == CellState::kRunning) return;
    progress->Say(FormatCellLine(cells.cells, cell, running->states(), state));
  };
  options.say = [&](const std::string& text) { progress->Say(text); };
  if (asked.processes) {
    options.run = [&](const Cell& cell, const std::string& folder,
                      const std::function<void(int64_t)>&) {
      // What came between two cells.
      if (signals.Wait(absl::ZeroDuration()) != 0) {
        running->Stop();
        return absl::AbortedError("interrupted before the cell began");
      }
      progress->Update(FormatStudyLine(cells.cells, running->states(),
                                       running->Remaining()));
      return RunInProcesses(cell, folder);
    };
  }
  StudyRunner runner(cells.cells, std::move(options));
  running = &runner;
  size_t done = 0;
  for (const CellState& state : runner.states()) done += state.reused;
  progress->Say(absl::StrCat(
      cells.cells.size(), cells.cells.size() == 1 ? " cell in " : " cells in ",
      asked.folder,
      done > 0 ? absl::StrCat(", of which ", done, " are finished already")
               : ""));
  if (asked.processes) {
    runner.Run();  // children are this thread's
  } else {
    bool over = false;
    Mutex mu;
    ThreadPool pool(1);
    pool.Post([&] {
      runner.Run();
      MutexLock lock(mu);
      over = true;
      signals.Wake();
    });
    for (bool going = true; going;) {
      if (signals.Wait(absl::Milliseconds(200)) != 0) {
        progress->Say("stopping; the same command goes on where it stopped");
        runner.Stop();
      }
      progress->Update(
          FormatStudyLine(cells.cells, runner.states(), runner.Remaining()));
      MutexLock lock(mu);
      going = !over;
    }
  }
  *states = runner.states();
  return runner.stopping();
}

absl::Status WriteAll(const Study& study, const Asked& asked,
                      const std::vector<CellState>& states, bool in_full) {
  PARLEY_ASSIGN_OR_RETURN(
      const StudyResults results,
      ReadStudyResults(study, asked.folder, states, in_full));
  PARLEY_RETURN_IF_ERROR(WriteStudyReport(results, asked.folder));
  if (asked.json) {
    absl::PrintF("%s\n", StudySummaryJson(results).ToString());
    return absl::OkStatus();
  }
  for (const std::string& line : results.verdict) absl::PrintF("%s\n", line);
  absl::PrintF("  report  %s/%s\n  numbers %s/%s, %s\n", asked.folder,
               kStudyReportFile, asked.folder, kStudyJsonFile, kStudyCsvFile);
  return absl::OkStatus();
}

int ImplicitBias(int argc, const char* const* argv) {
  Asked asked;
  std::vector<std::string> sets;
  int64_t threads = std::max(1u, std::thread::hardware_concurrency());
  Flags flags(
      {"parley study implicit-bias", "FILE",
       "Asks where Local-GD converges (arXiv 2412.07971): runs every cell of "
       "the sweep in\nFILE, a StudyConfig (proto/parley/v1/study.proto), and "
       "writes one report. Each cell\nis a run file that parley run takes, "
       "too. The same command goes on where an\ninterrupted one stopped.\n",
       "Examples:\n"
       "  $ parley study implicit-bias examples/implicit_bias.textproto\n"
       "  $ parley study implicit-bias FILE --set run.stop.rounds=100 --dir "
       "short\n"
       "  $ parley study implicit-bias FILE --processes\n"
       "\n"
       "Exit codes: 0 all cells finished; 1 some failed; 2 the command line or "
       "the study\nfile is wrong; 3 it was interrupted.\n",
       1, 1});
  flags.Add("set", &sets, "FIELD=VALUE",
            "Change a field of the study file; may be repeated.");
  flags.Add("dir", &asked.folder, "FOLDER",
            "Where the study's files go. What is finished there is not run\n"
            "again, unless its run file has changed. Default: studies/NAME.");
  flags.Add("threads", &threads, "N",
            "Cells that run at once; the result is the same. Default: all\n"
            "cores.");
  flags.Add(
      "processes", &asked.processes, "",
      "Run each cell as parley run does, by a coordinator and clients\n"
      "that are processes, one cell at a time. The numbers are the same.");
  flags.Add("json", &asked.json, "",
            "Print a summary as one JSON object, and nothing else, on standard "
            "output.");
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  if (threads < 1) {
    return Complain(absl::InvalidArgumentError("--threads: must be at least 1"),
                    kExitUsage);
  }
  asked.threads = static_cast<int>(threads);
  absl::StatusOr<Study> study = LoadStudyFile(flags.arguments()[0], sets);
  if (!study.ok()) return Complain(study.status(), kExitUsage);
  if (const absl::Status s = StateDataFacts(absl::MakeSpan(study->cells.cells));
      !s.ok()) {
    return Complain(s);
  }
  if (asked.folder.empty()) {
    asked.folder = absl::StrCat("studies/", study->config.name());
  }
  const auto folder = StudyFolder::Open(asked.folder);
  if (!folder.ok()) return Complain(folder.status());
  if (const absl::Status s =
          ReplaceFile(absl::StrCat(asked.folder, "/", kStudyFile),
                      PrintStudy(study->config));
      !s.ok()) {
    return Complain(s);
  }
  std::vector<CellState> states;
  bool interrupted;
  {
    StudyProgress progress(asked.json ? stderr : stdout);
    interrupted = RunCells(study->cells, asked, &progress, &states);
  }
  // Who pressed Ctrl-C does not wait for theory.
  if (const absl::Status s = WriteAll(*study, asked, states, !interrupted);
      !s.ok()) {
    return Complain(s);
  }
  if (interrupted) return kExitStopped;
  for (const CellState& state : states) {
    if (state.kind != CellState::kFinished) return kExitFailed;
  }
  return kExitOk;
}

constexpr Command kStudyCommands[] = {
    {"implicit-bias", "Ask where Local-GD converges, on your data.",
     ImplicitBias},
};

}  // namespace

int StudyCommand(int argc, const char* const* argv) {
  return Dispatch("parley study", kStudyCommands,
                  "Runs a paper's question: many runs and one report.\n",
                  "Example:\n"
                  "  $ parley study implicit-bias "
                  "examples/implicit_bias.textproto\n",
                  argc, argv);
}

}  // namespace parley
