// What drivers of runs share, whatever their machine is: sessions, watchers,
// time, the files of a run's folder, and the end.
#ifndef PARLEY_SERVER_RUN_BASIC_DRIVER_H_
#define PARLEY_SERVER_RUN_BASIC_DRIVER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/report/metrics_log.h"
#include "parley/v1/run.pb.h"
#include "server/run/run_driver.h"
#include "server/run/run_events.h"
#include "server/run/status_board.h"
#include "server/run/work_lane.h"
#include "server/store/run_store.h"

namespace parley {

// As the options of the drivers say it.
struct BasicDriverOptions {
  v1::RunConfig config = {};
  std::string folder = "";
  Clock* clock = nullptr;
  Executor* control = nullptr;
  Executor* work = nullptr;
  absl::AnyInvocable<void(LogLevel, const std::string&)> say = {};
  absl::AnyInvocable<void()> on_over = {};
  absl::AnyInvocable<void(const v1::RunStatus&)> on_end = {};
};

// All of a driver runs on one sequence, which ends before the driver's members
// do: the destructor of a class that derives calls BeginClose, closes its own
// lanes and timers, and calls EndClose.
class BasicDriver : public RunDriver {
 public:
  void Start() override;
  void Stop(const std::string& reason) override;
  // Blocks until the run is over and all is written; the final status. Not from
  // a thread of the executors.
  v1::RunStatus Wait();

  uint64_t Watch(StatusCallback on_change) override;
  void HurryChange() override;
  // After it returns the callback is not running and is not called again.
  void Unwatch(uint64_t id) { board_.Remove(id); }

  SessionId OpenSession(PeerIdentity peer,
                        std::shared_ptr<SessionSink> sink) override;
  void Receive(SessionId session, v1::ClientMessage message) override;
  void CloseSession(SessionId session, const absl::Status& why) override;

 protected:
  // `store` is null for a run without a folder.
  BasicDriver(BasicDriverOptions options, std::unique_ptr<RunStore> store);
  void BeginClose() { closing_ = true; }
  void EndClose();
  absl::Status OpenFiles();

  const v1::RunConfig& config() const { return options_.config; }
  const std::string& folder() const { return options_.folder; }
  Clock* clock() const { return options_.clock; }
  RunStore* store() const { return store_.get(); }
  Sequence* sequence() const { return sequence_.get(); }
  WorkLane* files() { return &files_; }  // waits for the disk

  void OnSequence(Closure f);  // from any thread

  // All below on the sequence.
  // Brings the machine what happened.
  virtual void Bring(RunEvent event) = 0;
  // How many rounds are over, of this start and those before.
  virtual int64_t RoundsOver(const v1::RunStatus& status) const = 0;

  void Perform(effect::Send& e);
  void Perform(effect::EndSession& e);
  void Perform(effect::SetTimer& e);
  void Perform(effect::StatusChanged& e);
  void Perform(effect::Say& e);

  void Append(const v1::JournalRecord& record);
  void SyncJournal();                      // with all that was appended
  void Append(const RoundReport& report);  // to metrics.jsonl

  bool run_over() const { return run_over_; }
  double Seconds();                       // of the run so far
  void Fail(const absl::Status& status);  // a file cannot be written
  // For effect::EndRun, and what of the run's own is to be written in between.
  // Then the journal, the status file and the report are, and watchers told.
  // FinishEnd comes when files() has nothing under way: what fails there later
  // would be missing in what it writes.
  void BeginEnd(const effect::EndRun& e);
  void FinishEnd();

 private:
  v1::RunStatus Status();
  void TellWatchers();
  void RecordEnd();
  absl::Status WriteEnd(const v1::RunStatus& status);
  void TellEnd();

  BasicDriverOptions options_;
  const std::unique_ptr<RunStore> store_;  // null without a folder
  std::unique_ptr<MetricsLog> metrics_;    // null without a folder
  const int64_t rounds_before_;            // of earlier starts
  const absl::Duration elapsed_before_;    // that those took
  const absl::Time started_;               // this time
  StatusBoard board_;
  std::atomic<SessionId> last_session_ = 0;
  std::atomic<bool> closing_ = false;

  // On the sequence only, down to mu_.
  absl::flat_hash_map<SessionId, std::shared_ptr<SessionSink>> sessions_;
  bool syncing_ = false;   // the journal
  bool unsynced_ = false;  // a record came since that began
  absl::Status failure_;
  v1::RunStatus status_;  // the latest; final once run_over_
  bool run_over_ = false;
  bool finished_ = false;  // and all is written
  absl::Time told_at_ = absl::InfinitePast();

  Mutex mu_;
  CondVar changed_;
  bool ended_ GUARDED_BY(mu_) = false;

  std::unique_ptr<Sequence> sequence_;
  WorkLane files_;
  SequenceTimer machine_timer_;
  SequenceTimer watch_timer_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RUN_BASIC_DRIVER_H_
