// One phase of a round: the same task to each client of a cohort, and what came
// of it. Complete answers are folded in cohort order.
#ifndef PARLEY_SERVER_ROUND_PHASE_H_
#define PARLEY_SERVER_ROUND_PHASE_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/random.h"
#include "server/round/round_context.h"

namespace parley {

// Lives from the draw of its cohort until its round is committed; takes answers
// until Close or Abandon. After each event the machine calls Pump, then looks
// at outcome(). Not thread-safe. Clients are named to it once they are (or are
// no longer) in the registry.
class Phase {
 public:
  struct Options {
    v1::Task task;                     // without client, attempt and deadline
    std::vector<std::string> members;  // in cohort order
    int32_t needed = 0;                // answers that make it full
    int32_t quorum = 0;                // answers that do when no more can come
    absl::Time deadline = absl::InfiniteFuture();
    bool wait = false;     // for clients to come back when too few remain,
    bool replace = false;  // and for others in their place
  };
  enum class Outcome { kOpen, kFull, kTooFew };

  // A client that was granted its upload and does not begin it in this time
  // goes to the end of the queue; after so many misses its slot fails.
  static constexpr absl::Duration kGrantTime = absl::Seconds(5);
  static constexpr int kMaxMisses = 10;
  // Of failed and refused answers in a row, of each registered client. With
  // their back-off that is a minute and a half.
  static constexpr int kMaxFailures = 8;

  Phase(Options options, RoundContext* context);

  void OnRegistered(Client& client, Admission::Kind kind);
  void OnDisconnected(const Client& client);
  void OnGone(const std::string& name, absl::string_view reason);
  void OnUpdateReady(Client& client, v1::UpdateReady update);
  void OnTaskFailed(Client& client, const v1::TaskFailed& failure);
  // The fraction is from 0 to 1.
  void OnProgress(const Client& client, const v1::TaskProgress& progress);
  // The token is good.
  void OnDownloadRequested(TransferId transfer,
                           const v1::DownloadRequest& request);
  void OnUploadRequested(TransferId transfer, const v1::TaskId& task);
  void OnTransferCancelled(TransferId transfer);
  void OnTransferEnded(size_t slot, TransferDesk::Way way,
                       const event::TransferEnded& ended);
  void OnChunksStaged(const event::ChunksStaged& ended);

  // Does what is due, and gives free permits to those whose turn it is.
  void Pump();
  absl::Time NextTimer() const;
  Outcome outcome() const;
  // Nobody's answer was good, and so often that it is not worth to wait: it is
  // kTooFew then. Why the last one was not:
  bool hopeless() const;
  const std::string& last_reason() const { return last_reason_; }

  // Takes nothing more. What is whole counts and is folded; the others are told
  // why they do not.
  void Close();
  // As Close, but nothing counts.
  void Abandon(absl::string_view reason);
  // Tells those that counted; after Close.
  void TellCounted();

  int32_t asked() const { return static_cast<int32_t>(slots_.size()); }
  int32_t whole() const { return whole_; }
  // In cohort order, as the round's record has them; after Close or Abandon.
  void AppendOutcomes(v1::RoundCommitted* record) const;
  // Names of those that counted, in cohort order.
  std::vector<std::string> Counted() const;
  // Over those that counted, by the weights of their answers; nullopt where
  // none sent it.
  std::optional<double> Mean(const std::string& scalar) const;
  // Whether it has something to do for the phase.
  bool IsBusy(const Client& client) const;
  void DescribeClients(v1::RunStatus* status) const;
  // Grows with each word on how far a task is.
  int64_t progress_told() const { return progress_told_; }
  std::string WaitsFor() const;

 private:
  enum class State {
    kHeld,   // to be asked once it is connected and its back-off is over
    kAsked,  // has its task
    kReady,  // has an answer, whose numbers are still to come
    kWhole,  // counts, if the phase does
    kFailed,
  };
  struct Slot {
    std::string client;
    State state = State::kHeld;
    bool closed = false;  // kFailed: for good; another may have its place
    bool folded = false;
    bool with_chunks = false;  // its task was sent so, its answer may come so
    int32_t attempt = 1;
    uint64_t incarnation = 0;        // of the client that was asked
    std::string reason;              // of the failure
    std::optional<double> progress;  // of the work, as told; of kAsked

    // Of kReady and kWhole.
    v1::UpdateReady header;
    UpdateId update = 0;  // staged; 0: nothing is
    uint64_t staged = 0;  // bytes of it that are whole
    uint64_t total = 0;

    TransferId download = 0;
    bool download_runs = false;
    uint64_t download_offset = 0;
    TransferId upload = 0;
    bool upload_runs = false;
    bool granted = false;  // holds an upload permit, no transfer yet
    absl::Time grant_end;
    std::optional<uint64_t> granted_offset;
    int misses = 0;     // grants not taken, uploads without progress, in a row
    int checksums = 0;  // that were wrong
    absl::Time retry_at = absl::InfinitePast();
    bool starved = false;  // waits for room in the staging area
  };

  // phase.cc: tasks and answers
  Slot* SlotOf(absl::string_view client);
  size_t IndexOf(const Slot& slot) const { return &slot - slots_.data(); }
  bool Names(const Slot& slot, const v1::TaskId& task) const;
  v1::TaskId IdOf(const Slot& slot) const;
  void AskOrHold(size_t i);
  void SendTask(const Slot& slot, const Client& client, bool with_chunks);
  void Accept(size_t i);
  void Refuse(size_t i, absl::string_view reason);
  void Fail(size_t i, absl::string_view reason);
  void Restart(size_t i);
  void FoldPrefix();
  void Refill();
  std::optional<std::string> DrawReplacement();
  void Append(const std::string& name);
  void Finish(absl::string_view reason, bool count);
  std::string DescribeSlot(const Slot& slot) const;

  // phase_transfers.cc: numbers
  void WantUpload(size_t i);
  void BeginUpload(size_t i);
  void OnUploadEnded(size_t i, const absl::Status& status, uint64_t staged);
  void StageChunks(size_t i, InlineChunks chunks);
  void Miss(size_t i);
  void Starve(size_t i);
  void Evict(size_t i);
  void WakeStarved();
  void DropGrant(size_t i);
  void DropStaging(size_t i);
  void EndTransfers(size_t i);
  void Answer(TransferId transfer, absl::Status status);
  void ExpireGrants();
  void CallDue();

  const Options options_;
  RoundContext& context_;
  const size_t inline_slots_;  // the first ones: chunks go within messages
  Rng replacement_draw_;

  bool closed_ = false;
  std::vector<Slot> slots_;                           // in cohort order
  absl::flat_hash_map<std::string, size_t> slot_of_;  // the latest of a name
  absl::flat_hash_map<TransferId, size_t> queued_;    // not answered yet
  int32_t open_ = 0;
  int32_t whole_ = 0;
  int64_t failures_ = 0;     // of clients that were there
  std::string last_reason_;  // of a failure, whatever it was
  int64_t progress_told_ = 0;
  size_t folded_ = 0;  // slots before it are folded or failed for good

  std::set<size_t> failed_;     // and not closed
  std::set<size_t> retryable_;  // failed, their client is registered
  bool no_spare_ = false;       // every registered client has a slot
  std::set<size_t> starved_;
  std::set<std::pair<absl::Time, size_t>> grants_;  // by their end
  std::set<std::pair<absl::Time, size_t>> due_;     // slots to look at again
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_PHASE_H_
