// A run's folder, as the one coordinator that runs in it keeps it.
#ifndef PARLEY_SERVER_STORE_RUN_STORE_H_
#define PARLEY_SERVER_STORE_RUN_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "parley/v1/journal.pb.h"
#include "parley/v1/run.pb.h"
#include "server/store/checkpoint.h"
#include "server/store/journal.h"

namespace parley {

inline constexpr char kJournalFile[] = "journal";
inline constexpr char kRunFile[] = "run.textproto";
inline constexpr char kModelFile[] = "model.safetensors";
inline constexpr char kStatusFile[] = "status.json";
inline constexpr char kAddressFile[] = "address";

// Makes PARENT/NAME-1, or -2, ... : the first that is not there.
absl::StatusOr<std::string> MakeRunFolder(const std::string& parent,
                                          const std::string& name);

// Locks the folder while it lives. Calls come from one thread at a time, but
// for Sync and WriteCheckpoint, which may run beside Append.
class RunStore {
 public:
  struct Options {
    std::string folder;    // made where it is missing
    v1::RunConfig config;  // filled
    bool resume = false;   // go on with the run that is in the folder, if any
    bool durable = true;   // false: a power failure may cost it
  };

  // FailedPrecondition: another coordinator runs in the folder; or resume, and
  // the folder's run was made from another configuration (stop, limits and
  // checkpoints may differ). AlreadyExists: it has a run, and no resume. Any
  // code of the file system.
  static absl::StatusOr<std::unique_ptr<RunStore>> Open(Options options);
  ~RunStore();
  RunStore(const RunStore&) = delete;
  RunStore& operator=(const RunStore&) = delete;

  uint64_t term() const { return term_; }  // of this start
  // Drawn when the run was begun; not 0.
  uint64_t run_id() const { return run_id_; }
  // Rounds of the checkpoint to start from, of a gossip run those that were
  // told; 0: none.
  int64_t committed_rounds() const { return committed_rounds_; }
  // That they took, by metrics.jsonl; 0 where it is not there.
  absl::Duration elapsed() const { return elapsed_; }
  // RoundCommitted.next_values of the last of them.
  const std::map<std::string, double>& next_values() const {
    return next_values_;
  }
  // Of a gossip run, whose rounds are those of metrics.jsonl: the peers go on
  // with theirs whatever becomes of the coordinator.
  const std::optional<v1::Membership>& membership() const {
    return membership_;
  }
  // That checkpoint; null: none. Given once.
  std::unique_ptr<CheckpointReader> TakeCheckpoint() {
    return std::move(checkpoint_);
  }

  std::string Path(absl::string_view file) const;

  absl::Status Append(const v1::JournalRecord& record) {
    return journal_->Append(record);
  }
  // The record that this coordinator takes the run up.
  absl::Status AppendOpened();
  absl::Status Sync() {
    return options_.durable ? journal_->Sync() : absl::OkStatus();
  }

  // After the journal is on the disk. Removes checkpoints beyond
  // checkpoints.keep.
  absl::Status WriteCheckpoint(v1::Checkpoint head,
                               absl::Span<const CheckpointSection> sections);

 private:
  RunStore(Options options, int folder_fd)
      : options_(std::move(options)), folder_fd_(folder_fd) {}
  // Finds out where to begin from what the journal says.
  absl::Status TakeUp(const JournalContents& contents);
  absl::Status CutMetrics();

  const Options options_;
  const int folder_fd_;  // holds the lock
  std::unique_ptr<Journal> journal_;
  uint64_t term_ = 1;
  uint64_t run_id_ = 0;
  int64_t committed_rounds_ = 0;
  absl::Duration elapsed_;
  std::map<std::string, double> next_values_;
  std::optional<v1::Membership> membership_;
  std::unique_ptr<CheckpointReader> checkpoint_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_STORE_RUN_STORE_H_
