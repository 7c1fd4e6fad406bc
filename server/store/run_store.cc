#include "server/store/run_store.h"

#include <fcntl.h>
#include <google/protobuf/util/message_differencer.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/report/metrics_log.h"
#include "server/store/recorded_run.h"

namespace parley {
namespace {

// What decides the numbers of a run: the rest may change when it is resumed.
v1::RunConfig Decisive(v1::RunConfig config) {
  config.clear_stop();
  config.clear_limits();
  config.clear_checkpoints();
  config.clear_tags();
  return config;
}

void Remove(const std::string& path) {
  std::error_code error;  // whoever looks for the file will see it
  std::filesystem::remove(path, error);
}

}  // namespace

absl::StatusOr<std::string> MakeRunFolder(const std::string& parent,
                                          const std::string& name) {
  std::error_code error;
  std::filesystem::create_directories(parent, error);
  for (int n = 1;; ++n) {
    std::string folder = absl::StrCat(parent, "/", name, "-", n);
    if (mkdir(folder.c_str(), 0755) == 0) return folder;
    if (errno != EEXIST) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", folder));
    }
  }
}

absl::StatusOr<std::unique_ptr<RunStore>> RunStore::Open(Options options) {
  const std::string folder = options.folder;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", folder));
  }
  auto store = absl::WrapUnique(new RunStore(std::move(options), fd));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "another coordinator runs in ", folder,
        ": name another folder, or end it by parley stop ", folder));
  }
  JournalContents contents;
  PARLEY_ASSIGN_OR_RETURN(store->journal_,
                          Journal::Open(store->Path(kJournalFile), &contents));
  if (contents.torn_bytes > 0) {
    LogWarning("cut ", contents.torn_bytes, " bytes of a torn record off ",
               store->Path(kJournalFile));
  }
  PARLEY_RETURN_IF_ERROR(store->TakeUp(contents));
  return store;
}

RunStore::~RunStore() { close(folder_fd_); }

std::string RunStore::Path(absl::string_view file) const {
  return absl::StrCat(options_.folder, "/", file);
}

absl::Status RunStore::TakeUp(const JournalContents& contents) {
  const std::string& folder = options_.folder;
  RecordedRun run;
  if (!contents.records.empty()) {
    PARLEY_ASSIGN_OR_RETURN(run, RecordedRunOf(contents.records));
    term_ = run.opened.term() + 1;
  }
  const bool begun = !run.rounds.empty() || run.membership.has_value();
  if (begun) run_id_ = run.opened.run_id();
  while (run_id_ == 0) {
    if (getentropy(&run_id_, sizeof(run_id_)) != 0) {
      return absl::ErrnoToStatus(errno, "no random numbers for the run's id");
    }
  }
  if (begun) {
    if (!options_.resume) {
      return absl::AlreadyExistsError(
          absl::StrCat(folder,
                       " has a run already: go on with it by --resume, or name "
                       "another folder"));
    }
    google::protobuf::util::MessageDifferencer differencer;
    std::string difference;
    differencer.ReportDifferencesToString(&difference);
    if (!differencer.Compare(Decisive(run.opened.config()),
                             Decisive(options_.config))) {
      return absl::FailedPreconditionError(
          absl::StrCat("the run in ", folder,
                       " was made from another run file, so it "
                       "cannot be resumed with this one. What differs:\n",
                       difference));
    }
    for (const std::string& path : ListCheckpoints(folder)) {
      absl::StatusOr<std::unique_ptr<CheckpointReader>> found =
          CheckpointReader::Open(path);
      const absl::Status status =
          found.ok() ? (*found)->Verify() : found.status();
      if (status.ok()) {
        checkpoint_ = *std::move(found);
        committed_rounds_ = checkpoint_->head().round();
        break;
      }
      LogWarning("passed over a checkpoint: ", status.message());
      Remove(path);
    }
    if (const auto last = run.rounds.find(committed_rounds_);
        last != run.rounds.end() && last->second.committed) {
      next_values_.insert(last->second.committed->next_values().begin(),
                          last->second.committed->next_values().end());
    }
  } else {
    // Whatever lies here is of a run that never came to a round.
    for (const std::string& path : ListCheckpoints(folder)) Remove(path);
  }
  membership_ = std::move(run.membership);
  Remove(Path(kStatusFile));
  return CutMetrics();
}

// Drops the lines of rounds that will be run again.
absl::Status RunStore::CutMetrics() {
  const std::string path = Path(kMetricsFile);
  if (!std::filesystem::exists(path)) return absl::OkStatus();
  PARLEY_ASSIGN_OR_RETURN(const std::vector<RoundReport> reports,
                          ReadMetrics(path));
  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReplacer::Create(path));
  for (const RoundReport& report : reports) {
    if (membership_) {
      committed_rounds_ = std::max(committed_rounds_, report.round);
    } else if (report.round > committed_rounds_) {
      continue;
    }
    elapsed_ = absl::Seconds(report.elapsed_seconds);
    PARLEY_RETURN_IF_ERROR(file->Write(ToJsonLine(report)));
    PARLEY_RETURN_IF_ERROR(file->Write("\n"));
  }
  return file->Commit();
}

absl::Status RunStore::WriteCheckpoint(
    v1::Checkpoint head, absl::Span<const CheckpointSection> sections) {
  PARLEY_RETURN_IF_ERROR(Sync());
  const std::string path = Path(CheckpointName(head.round()));
  PARLEY_RETURN_IF_ERROR(
      parley::WriteCheckpoint(path, std::move(head), sections));
  fsync(folder_fd_);  // the new name; without it an older one is found
  PruneCheckpoints(options_.folder, options_.config.checkpoints().keep());
  return absl::OkStatus();
}

absl::Status RunStore::AppendOpened() {
  v1::JournalRecord record;
  v1::RunOpened& opened = *record.mutable_run_opened();
  opened.set_run(options_.config.name());
  opened.set_term(term());
  opened.set_run_id(run_id());
  opened.set_journal_version(kJournalVersion);
  *opened.mutable_config() = options_.config;
  return Append(record);
}

}  // namespace parley
