#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "common/base/status_macros.h"
#include "common/report/event_file.h"
#include "common/report/html_report.h"
#include "common/report/metrics_log.h"
#include "server/store/recorded_run.h"
#include "tools/cli/command.h"
#include "tools/cli/run_folder.h"

namespace parley {
namespace {

absl::StatusOr<ReportRun> ReadRun(const std::string& folder, bool alone) {
  PARLEY_ASSIGN_OR_RETURN(const RunSummary summary, ReadRunSummary(folder));
  PARLEY_ASSIGN_OR_RETURN(const RecordedRun recorded, ReadRecordedRun(folder));
  PARLEY_ASSIGN_OR_RETURN(ReportRun run,
                          ReadReportRun(folder, recorded.opened.config()));
  // Runs laid over each other often have one name, but never one folder.
  if (!alone) run.name = folder;
  run.state = summary.state;
  run.reason = summary.reason;
  return run;
}

absl::Status WriteReport(const std::vector<std::string>& folders,
                         const std::string& out) {
  std::vector<ReportRun> runs;
  for (const std::string& folder : folders) {
    PARLEY_ASSIGN_OR_RETURN(ReportRun run,
                            ReadRun(folder, folders.size() == 1));
    runs.push_back(std::move(run));
  }
  return WriteHtmlReport(runs, out);
}

// Each run in a folder of its own, as TensorBoard tells runs apart.
absl::Status WriteEvents(const std::vector<std::string>& folders,
                         const std::string& parent) {
  std::set<std::string> taken;
  for (const std::string& folder : folders) {
    PARLEY_ASSIGN_OR_RETURN(const RunSummary run, ReadRunSummary(folder));
    const std::filesystem::path path = std::filesystem::absolute(folder);
    const std::string own =
        absl::StrCat(parent, "/", path.lexically_normal().filename().string());
    if (!taken.insert(own).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("two of the runs would both go to ", own,
                       ": write them one by one, to different folders"));
    }
    std::error_code error;
    std::filesystem::create_directories(own, error);
    if (error) {
      return absl::ErrnoToStatus(error.value(),
                                 absl::StrCat("cannot make ", own));
    }
    PARLEY_ASSIGN_OR_RETURN(
        const std::string file,
        WriteEventFile(absl::StrCat(folder, "/", kMetricsFile), run.started,
                       own));
    absl::PrintF("%s\n", file);
  }
  return absl::OkStatus();
}

}  // namespace

int ReportCommand(int argc, const char* const* argv) {
  std::string out, events;
  Flags flags(
      {"parley report", "RUN...",
       "Makes report.html: a run's loss, accuracy, seconds, bytes and clients "
       "as charts, in\none file that opens without a network. Several runs "
       "are laid over each other.\n",
       "Examples:\n"
       "  $ parley report runs/fashion_fedavg-1\n"
       "  $ parley report runs/fashion_fedavg-* --out compared.html\n"
       "  $ parley report runs/fashion_fedavg-* --tensorboard events\n"
       "  tensorboard --logdir events\n"
       "\n"
       "Exit codes: 0 done; 1 a run cannot be read or the file not be written; "
       "2 the command\nline is wrong.\n",
       1, 64});
  flags.Add("out", &out, "FILE",
            "Where to. Default: RUN/report.html; of several runs, report.html\n"
            "in the current folder.");
  flags.Add("tensorboard", &events, "FOLDER",
            "Write event files for TensorBoard instead, to FOLDER/RUN.");
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  if (!out.empty() && !events.empty()) {
    return flags.UsageError(absl::InvalidArgumentError(
        "--out and --tensorboard exclude each other"));
  }
  std::vector<std::string> folders = flags.arguments();
  for (std::string& folder : folders) {
    while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  }
  if (!events.empty()) {
    const absl::Status written = WriteEvents(folders, events);
    return written.ok() ? kExitOk : Complain(written);
  }
  if (out.empty()) {
    out = folders.size() == 1 ? absl::StrCat(folders[0], "/", kReportFile)
                              : kReportFile;
  }
  if (const absl::Status written = WriteReport(folders, out); !written.ok()) {
    return Complain(written);
  }
  absl::PrintF("%s\n", out);
  return kExitOk;
}

}  // namespace parley
