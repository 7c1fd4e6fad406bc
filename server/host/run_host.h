// Several runs behind one port, or one: brings each session and transfer to its
// run, and begins queued runs when it is their turn.
#ifndef PARLEY_SERVER_HOST_RUN_HOST_H_
#define PARLEY_SERVER_HOST_RUN_HOST_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/mutex.h"
#include "server/host/hosted_run.h"
#include "server/host/lobby.h"
#include "server/host/queue_folder.h"
#include "server/host/run_admin.h"
#include "server/http/live_source.h"
#include "server/run/coordinator.h"
#include "server/run/work_lane.h"
#include "server/strategies/strategy.h"

namespace parley {

struct RunHostOptions {
  // Of the queue; empty: there is none, but one run, given by Host.
  std::string folder = "";
  int at_once = 1;          // runs
  int max_clients = 10000;  // that wait for a run
  std::vector<CustomStrategy> strategies = {};

  // Borrowed; must outlive the host. All but `setup` as RoundDriverOptions has
  // them, shared by all runs. `setup` has a thread of its own: runs are read,
  // made and destroyed there, which blocks.
  Clock* clock = nullptr;
  Executor* control = nullptr;
  Executor* work = nullptr;
  Executor* setup = nullptr;

  // Called on `setup` when a run is over and all is written; may be null.
  absl::AnyInvocable<void(const v1::RunStatus&)> on_end = {};
};

// Create, Host or not, Start, let transports bring clients, Shutdown.
// Thread-safe. Transports must be gone, with all their sources and sinks,
// before it is destroyed.
//
// With a queue, a session waits in the lobby until it is known for which run it
// is: the one that its Register names, else the oldest that goes on and is not
// among its except_runs. Without one all are the one run's from the start.
class RunHost final : public Coordinator, public RunAdmin, public LiveSource {
 public:
  static constexpr int kMaxQueued = 1000;
  static constexpr int kMaxOver = 1000;  // runs that it remembers

  // Takes up the queue in the folder. Errors as QueueFolder.
  static absl::StatusOr<std::unique_ptr<RunHost>> Create(
      RunHostOptions options);
  ~RunHost() override;

  // The run of a coordinator without a queue, its facts stated; before Start.
  // Errors as RoundDriver::Create.
  absl::Status Host(v1::RunConfig config, const std::string& folder,
                    bool resume);

  // `address` is where clients find it; runs write it into their folders.
  absl::Status Start(const std::string& address);

  // Tells all clients to come back later; runs that go on are left as they are,
  // to be resumed by the next coordinator, and none begins any more. Calls
  // `idle` on `setup`, once what is under way there is done.
  void Shutdown(const std::string& reason, Closure idle);

  SessionId OpenSession(PeerIdentity peer,
                        std::shared_ptr<SessionSink> sink) override;
  void Receive(SessionId session, v1::ClientMessage message) override;
  void CloseSession(SessionId session, const absl::Status& why) override;
  void OpenDownload(const v1::DownloadRequest& request, DownloadReady ready,
                    BreakOff break_off) override;
  void OpenUpload(const v1::TransferHeader& header, UploadReady ready,
                  BreakOff break_off) override;

  absl::StatusOr<uint64_t> Watch(const std::string& run,
                                 StatusCallback on_change) override;
  void Unwatch(uint64_t id) override;
  absl::StatusOr<std::string> Stop(const std::string& run,
                                   const std::string& reason) override;
  void Submit(v1::SubmitRequest request, SubmitDone done) override;
  // Of RunAdmin and of LiveSource.
  std::vector<v1::RunStatus> Runs() override;
  uint64_t AwaitChange(uint64_t seen,
                       std::chrono::steady_clock::time_point deadline) override;

 private:
  using RunPtr = std::shared_ptr<HostedRun>;
  using Stage = HostedRun::Stage;
  struct Routed {
    RunPtr run;
    SessionId id = 0;  // of the run's driver
    std::shared_ptr<SessionSink> sink;
  };

  RunHost(RunHostOptions options, std::unique_ptr<QueueFolder> queue);

  bool has_queue() const { return queue_ != nullptr; }
  RunPtr MakeRun(v1::RunConfig config, std::string folder, bool resume) const;

  // run_host.cc: sessions and transfers
  // Brings a guest to its run; false: it has to wait.
  bool Place(SessionId id, Answers* out) REQUIRES(mu_);
  void PlaceAll(Answers* out) REQUIRES(mu_);
  void Enter(SessionId id, Guest guest, const RunPtr& run) REQUIRES(mu_);
  void OnRunClosed(SessionId id, const Guest* back);
  RunPtr Find(const std::string& name) REQUIRES(mu_);
  std::pair<RunDriver*, DriverRef> DriverOf(const v1::TaskId& task);
  std::string WaitsFor(const Guest& guest) REQUIRES(mu_);
  void SetTimer();
  void OnTimer();

  // run_host_queue.cc: the runs; on setup_ where they block
  absl::StatusOr<v1::SubmitReply> Enqueue(const v1::SubmitRequest& request);
  absl::Status SaveQueue(const std::string& added);
  void BeginNext();
  // Of the run's kind; takes its config.
  absl::StatusOr<std::unique_ptr<RunDriver>> DriverFor(const RunPtr& run);
  absl::Status MakeDriver(const RunPtr& run);
  absl::Status Launch(const RunPtr& run);
  void OnStatus(HostedRun* run, const v1::RunStatus& status);
  void Tell(RunPtr run) REQUIRES(mu_);  // watchers, soon
  void OnOver(HostedRun* run);
  void End(const RunPtr& run, v1::RunStatus status);
  void EndUnbegun(const RunPtr& run, v1::RunStatus status);
  void Retire(const RunPtr& run);
  void Forget() REQUIRES(mu_);  // what has been over for long
  // The one that StatusRequest.run means.
  absl::StatusOr<RunPtr> Chosen(const std::string& name) REQUIRES(mu_);
  v1::RunStatus StatusOf(const HostedRun& run) REQUIRES(mu_);
  void OnSetup(Closure f);
  void Changed() REQUIRES(mu_);  // what Runs() tells

  RunHostOptions options_;
  const std::unique_ptr<QueueFolder> queue_;  // null without a queue

  Mutex mu_;
  std::string address_ GUARDED_BY(mu_);
  bool closed_ GUARDED_BY(mu_) = false;  // after Shutdown
  bool gone_ GUARDED_BY(mu_) = false;    // in the destructor
  std::deque<RunPtr> runs_ GUARDED_BY(mu_);
  CondVar changed_;  // of Runs()
  uint64_t version_ GUARDED_BY(mu_) = 1;
  SessionId last_session_ GUARDED_BY(mu_) = 0;
  Lobby lobby_ GUARDED_BY(mu_);
  std::map<SessionId, Routed> sessions_ GUARDED_BY(mu_);
  uint64_t last_watch_ GUARDED_BY(mu_) = 0;
  std::map<uint64_t, std::pair<RunPtr, uint64_t>> watches_ GUARDED_BY(mu_);

  std::unique_ptr<Sequence> sequence_;  // tells watchers and the lobby
  SequenceTimer timer_;
  std::unique_ptr<Sequence> setup_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_HOST_RUN_HOST_H_
