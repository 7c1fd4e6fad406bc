#include "tools/cli/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/files/file_io.h"
#include "common/report/metrics_log.h"
#include "server/run/run_files.h"
#include "server/store/recorded_run.h"
#include "server/store/run_store.h"

namespace parley {
namespace {

namespace fs = std::filesystem;

// True while a coordinator holds the lock of the folder.
bool IsLocked(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  close(fd);
  return locked;
}

// A coordinator that has written its last word may still be saying goodbye.
std::string StateOf(const std::string& folder, const RecordedRun& run) {
  if (run.ended.has_value()) return absl::AsciiStrToLower(run.ended->state());
  return IsRunning(folder) ? "running" : "interrupted";
}

absl::Time ModifiedAt(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return absl::InfinitePast();
  return absl::TimeFromTimespec(info.st_mtim);
}

}  // namespace

absl::Status MakeEmptyFolder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error && !fs::is_empty(folder, error) && !error) {
    return absl::AlreadyExistsError(absl::StrCat(
        folder, " is not empty; name another --dir, or leave it out"));
  }
  if (!error) return absl::OkStatus();
  return absl::ErrnoToStatus(error.value(),
                             absl::StrCat("cannot make ", folder));
}

absl::StatusOr<v1::RunStatus> ReadFinalStatus(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", kStatusFile);
  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReader::Open(path));
  PARLEY_ASSIGN_OR_RETURN(const std::string text, file->Read(0, file->size()));
  absl::StatusOr<v1::RunStatus> status = ReadStatusJson(text);
  if (!status.ok()) return file->Invalid(status.status().message());
  return status;
}

bool IsRunning(const std::string& folder) {
  // A coordinator has the lock before it writes its address: without one nobody
  // is asked for a lock, who might just be starting.
  const std::string address = absl::StrCat(folder, "/", kAddressFile);
  return access(address.c_str(), F_OK) == 0 && IsLocked(folder);
}

absl::StatusOr<RunSummary> ReadRunSummary(const std::string& folder) {
  PARLEY_ASSIGN_OR_RETURN(const RecordedRun recorded, ReadRecordedRun(folder));
  RunSummary run;
  run.folder = folder;
  run.run = recorded.opened.run();
  run.state = StateOf(folder, recorded);
  if (recorded.ended.has_value()) run.reason = recorded.ended->reason();
  const v1::RunConfig& config = recorded.opened.config();
  run.tags.assign(config.tags().begin(), config.tags().end());
  run.planned = config.stop().rounds();
  run.started = ModifiedAt(absl::StrCat(folder, "/", kRunFile));
  const auto reports = ReadMetrics(absl::StrCat(folder, "/", kMetricsFile));
  if (!reports.ok() && !absl::IsNotFound(reports.status())) {
    return reports.status();
  }
  for (const auto& [number, round] : recorded.rounds) {
    if (round.committed.has_value()) run.rounds = number;
  }
  if (reports.ok()) {
    for (const RoundReport& report : *reports) {
      // A loss that is not finite is not in the file; the accuracy may be.
      const auto evaluated = [](const EvaluationReport& evaluation) {
        return evaluation.loss.has_value() || evaluation.accuracy.has_value();
      };
      const EvaluationReport& evaluation =
          evaluated(report.central) ? report.central : report.federated;
      if (evaluated(evaluation)) {
        run.loss = evaluation.loss;
        run.accuracy = evaluation.accuracy;
      }
      // Of those the journal has no rounds.
      if (config.has_gossip()) run.rounds = report.round;
      run.seconds = report.elapsed_seconds;
      run.bytes_up += report.bytes_up;
      run.bytes_down += report.bytes_down;
    }
  }
  std::error_code error;
  const fs::directory_iterator end;
  for (fs::directory_iterator it(folder, error); !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) run.size += it->file_size(ignored);
  }
  return run;
}

absl::StatusOr<std::vector<RunSummary>> ListRuns(const std::string& parent) {
  std::error_code error;
  std::vector<RunSummary> runs;
  const fs::directory_iterator end;
  for (fs::directory_iterator it(parent, error); !error && it != end;
       it.increment(error)) {
    const std::string folder = it->path().string();
    std::error_code ignored;
    if (!it->is_directory(ignored)) continue;
    absl::StatusOr<RunSummary> run = ReadRunSummary(folder);
    if (run.ok()) {
      runs.push_back(*std::move(run));
    } else if (!absl::IsNotFound(run.status())) {
      RunSummary& damaged = runs.emplace_back();
      damaged.folder = folder;
      damaged.state = "damaged";
      damaged.reason = std::string(run.status().message());
    }
  }
  if (error) {
    return absl::ErrnoToStatus(error.value(),
                               absl::StrCat("cannot read ", parent));
  }
  std::sort(
      runs.begin(), runs.end(), [](const RunSummary& a, const RunSummary& b) {
        return std::tie(a.started, a.folder) < std::tie(b.started, b.folder);
      });
  return runs;
}

Json ToJson(const RunSummary& run) {
  Json tags = Json::Array();
  for (const std::string& tag : run.tags) tags.Add(tag);
  Json json = Json::Object();
  json.Set("folder", run.folder)
      .Set("run", run.run)
      .Set("tags", std::move(tags))
      .Set("state", run.state)
      .Set("reason", run.reason)
      .Set("rounds", run.rounds)
      .Set("planned", run.planned)
      .Set("loss", run.loss)
      .Set("accuracy", run.accuracy)
      .Set("seconds", run.seconds)
      .Set("bytes_up", run.bytes_up)
      .Set("bytes_down", run.bytes_down)
      .Set("started", absl::FormatTime(absl::RFC3339_sec, run.started,
                                       absl::UTCTimeZone()))
      .Set("size", run.size);
  return json;
}

std::string LastLines(const std::string& path, int count) {
  constexpr std::streamoff kMost = 16 << 10;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return "";
  const std::streamoff size = file.tellg();
  const std::streamoff begin = std::max<std::streamoff>(size - kMost, 0);
  std::string text(size - begin, '\0');
  file.seekg(begin);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  size_t from = text.size();
  if (absl::EndsWith(text, "\n")) --from;
  while (count-- > 0 && from > 0 && from != std::string::npos) {
    from = text.rfind('\n', from - 1);
  }
  return from == std::string::npos || from == 0 ? text : text.substr(from + 1);
}

}  // namespace parley
