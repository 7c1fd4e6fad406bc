// A coordinator that does as the test says, and a listener that remembers.
#ifndef PARLEY_TESTS_UNIT_RPC_FAKE_COORDINATOR_H_
#define PARLEY_TESTS_UNIT_RPC_FAKE_COORDINATOR_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/session/coordinator_transport.h"
#include "common/base/mutex.h"
#include "server/host/run_admin.h"
#include "server/run/coordinator.h"

namespace parley {

// Thread-safe. Answers at once unless told to hold an answer back.
class FakeCoordinator final : public Coordinator, public RunAdmin {
 public:
  struct Session {
    PeerIdentity peer;
    std::shared_ptr<SessionSink> sink;
    std::vector<v1::ClientMessage> messages;
    std::optional<absl::Status> closed;
  };
  using SourceFactory =
      std::function<absl::StatusOr<std::unique_ptr<ChunkSource>>(
          const v1::DownloadRequest&)>;
  using SinkFactory = std::function<absl::StatusOr<std::unique_ptr<ChunkSink>>(
      const v1::TransferHeader&)>;

  // Set before the server starts.
  SourceFactory make_source;
  SinkFactory make_sink;
  bool hold_answers = false;  // until ReleaseAnswers
  bool echo = false;          // each message comes back as a notice

  SessionId OpenSession(PeerIdentity peer,
                        std::shared_ptr<SessionSink> sink) override;
  void Receive(SessionId session, v1::ClientMessage message) override;
  void CloseSession(SessionId session, const absl::Status& why) override;
  void OpenDownload(const v1::DownloadRequest& request, DownloadReady ready,
                    BreakOff break_off) override;
  void OpenUpload(const v1::TransferHeader& header, UploadReady ready,
                  BreakOff break_off) override;
  // Has one run, "run".
  absl::StatusOr<uint64_t> Watch(const std::string& run,
                                 StatusCallback on_change) override;
  void Unwatch(uint64_t id) override;
  absl::StatusOr<std::string> Stop(const std::string& run,
                                   const std::string& reason) override;
  // Named after the path; text that is empty is an error.
  void Submit(v1::SubmitRequest request, SubmitDone done) override;
  std::vector<v1::RunStatus> Runs() override;

  // Blocks until `ready` holds of session `id` (the first is 1).
  Session Await(SessionId id, std::function<bool(const Session&)> ready);
  void AwaitHeld();  // an answer is being held back
  // Breaks off all transfers that were asked for.
  void BreakTransfersOff(const absl::Status& why);
  void ReleaseAnswers();
  void SetStatus(const v1::RunStatus& status);
  size_t watchers();

 private:
  void Answer(std::function<void()> answer);
  void Remember(BreakOff break_off);

  Mutex mu_;
  CondVar changed_;
  std::map<SessionId, Session> sessions_ GUARDED_BY(mu_);
  std::vector<std::function<void()>> held_ GUARDED_BY(mu_);
  std::vector<BreakOff> transfers_ GUARDED_BY(mu_);
  Mutex watch_mu_;  // held while callbacks run
  v1::RunStatus status_ GUARDED_BY(watch_mu_);
  uint64_t next_watch_ GUARDED_BY(watch_mu_) = 1;
  std::map<uint64_t, StatusCallback> watches_ GUARDED_BY(watch_mu_);
};

// Remembers what a client's session told.
class RecordingListener final : public SessionListener {
 public:
  void OnMessage(v1::ServerMessage message) override;
  void OnClosed(const absl::Status& status) override;

  std::vector<v1::ServerMessage> AwaitMessages(size_t count);
  absl::Status AwaitClosed();

 private:
  Mutex mu_;
  CondVar changed_;
  std::vector<v1::ServerMessage> messages_ GUARDED_BY(mu_);
  std::optional<absl::Status> closed_ GUARDED_BY(mu_);
};

// A Done callback and what it was called with.
class DoneStatus {
 public:
  CoordinatorTransport::Done callback();
  absl::Status Await();

 private:
  Mutex mu_;
  CondVar changed_;
  std::optional<absl::Status> status_ GUARDED_BY(mu_);
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_RPC_FAKE_COORDINATOR_H_
