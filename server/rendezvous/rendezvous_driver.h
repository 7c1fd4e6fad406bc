// Runs the rendezvous machine: brings it what happens, does what it wants done.
#ifndef PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_DRIVER_H_
#define PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_DRIVER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/log.h"
#include "common/report/metrics_log.h"
#include "parley/v1/run.pb.h"
#include "server/rendezvous/rendezvous_machine.h"
#include "server/round/run_driver.h"
#include "server/round/status_board.h"
#include "server/round/work_lane.h"
#include "server/store/run_store.h"

namespace parley {

struct RendezvousDriverOptions {
  // Of a gossip run: filled and checked, its facts stated (StateFacts).
  v1::RunConfig config = {};
  std::string folder = "";
  bool resume = false;  // go on with the run in the folder, if there is one

  // Borrowed; must outlive the driver.
  Clock* clock = nullptr;
  Executor* control = nullptr;  // steps the machine, calls back
  Executor* work = nullptr;     // waits for the disk

  // On the driver's sequence; must not block. `say` replaces the log; `on_over`
  // comes before clients hear of the end, `on_end` is the last call.
  absl::AnyInvocable<void(LogLevel, const std::string&)> say = {};
  absl::AnyInvocable<void()> on_over = {};
  absl::AnyInvocable<void(const v1::RunStatus&)> on_end = {};
};

// Create, Start, let transports bring clients. Thread-safe. Transports must be
// gone before it is destroyed. Refuses all transfers: no parameter passes here.
class RendezvousDriver final : public RunDriver {
 public:
  // InvalidArgument: a model that gossip cannot mix. Others as RunStore::Open.
  static absl::StatusOr<std::unique_ptr<RendezvousDriver>> Create(
      RendezvousDriverOptions options);
  ~RendezvousDriver() override;

  void Start() override;
  void Stop(const std::string& reason) override;
  uint64_t Watch(StatusCallback on_change) override;
  void HurryChange() override;

  SessionId OpenSession(PeerIdentity peer,
                        std::shared_ptr<SessionSink> sink) override;
  void Receive(SessionId session, v1::ClientMessage message) override;
  void CloseSession(SessionId session, const absl::Status& why) override;
  void OpenDownload(const v1::DownloadRequest& request, DownloadReady ready,
                    BreakOff break_off) override;
  void OpenUpload(const v1::TransferHeader& header, UploadReady ready,
                  BreakOff break_off) override;

 private:
  RendezvousDriver(RendezvousDriverOptions options,
                   std::unique_ptr<RunStore> store,
                   RendezvousMachineOptions machine);
  absl::Status OpenFiles();

  void OnSequence(Closure f);  // from any thread

  // All below on the sequence.
  void Handle(RendezvousEvent event);
  void Perform(effect::Send& e);
  void Perform(effect::EndSession& e);
  void Perform(effect::Record& e);
  void Perform(effect::TellRound& e);
  void Perform(effect::SetTimer& e);
  void Perform(effect::StatusChanged& e);
  void Perform(effect::Say& e);
  void Perform(effect::EndRun& e);

  void TellWatchers();
  v1::RunStatus Status();
  double Seconds();
  void Fail(const absl::Status& status);  // a file cannot be written
  void RecordEnd();
  absl::Status WriteEnd(const v1::RunStatus& status);
  void FinishRun();

  RendezvousDriverOptions options_;
  const std::unique_ptr<RunStore> store_;
  std::unique_ptr<MetricsLog> metrics_;
  const absl::Duration elapsed_before_;  // of earlier starts
  const int64_t first_round_;            // told before
  const absl::Time started_;
  StatusBoard board_;
  std::atomic<SessionId> last_session_ = 0;
  std::atomic<bool> closing_ = false;

  // On the sequence only.
  RendezvousMachine machine_;
  std::deque<RendezvousEvent> events_;
  bool stepping_ = false;
  absl::flat_hash_map<SessionId, std::shared_ptr<SessionSink>> sessions_;
  absl::Status failure_;
  v1::RunStatus status_;  // the latest; final once run_over_
  bool run_over_ = false;
  bool finished_ = false;  // and all is written
  absl::Time told_at_ = absl::InfinitePast();

  std::unique_ptr<Sequence> sequence_;  // the destructor drains it first
  WorkLane files_;
  SequenceTimer machine_timer_;
  SequenceTimer watch_timer_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_RENDEZVOUS_DRIVER_H_
