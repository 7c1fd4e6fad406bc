// A client's side of the protocol: whom to dial and when, what to tell the
// coordinator, what to do with a task, what to keep and for how long. A pure
// state machine: no I/O, no threads, no clock, no numbers of the model.
#ifndef PARLEY_CLIENT_SESSION_SESSION_MACHINE_H_
#define PARLEY_CLIENT_SESSION_SESSION_MACHINE_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/session/peer_outbox.h"
#include "client/session/session_events.h"
#include "client/session/session_job.h"
#include "common/base/random.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

struct SessionMachineOptions {
  v1::Register hello;                // sent at each new connection
  std::vector<std::string> servers;  // at least one
  absl::Duration max_offline = absl::InfiniteDuration();
  absl::Duration report_every = absl::Seconds(10);  // infinite: never
};

// Single-threaded; the driver calls Step from one sequence.
class SessionMachine {
 public:
  // A coordinator that says nothing for so long after the dial, or while there
  // is no run for this client, is given up.
  static constexpr absl::Duration kDialTimeout = absl::Seconds(20);
  // How long a goodbye may take to get through.
  static constexpr absl::Duration kLeaveTimeout = absl::Milliseconds(500);
  // Waiting times between tries grow from the first to the second; to the third
  // once there was no coordinator for a minute.
  static constexpr absl::Duration kFirstDelay = absl::Milliseconds(100);
  static constexpr absl::Duration kMaxDelay = absl::Seconds(5);
  static constexpr absl::Duration kMaxDelayLater = absl::Seconds(15);

  // What a peer that has done all its rounds has to tell is dropped where no
  // coordinator is reached for so long.
  static constexpr absl::Duration kLastWord = absl::Seconds(15);

  // Heartbeats do not come faster, whatever the coordinator says.
  static constexpr absl::Duration kMinHeartbeat = absl::Milliseconds(10);

  // `jitter` spreads the tries of many clients.
  SessionMachine(SessionMachineOptions options, Rng jitter);

  // The effects to perform, in order. `now` never goes back. After an Exit
  // there are none any more.
  std::vector<SessionEffect> Step(SessionEvent event, absl::Time now);

  // When TimerFired is due; earlier or repeated ones do no harm.
  absl::Time wake_at() const { return wake_at_; }

 private:
  enum class Link {
    kNone,
    kDialing,
    kWaiting,  // the coordinator has no run for this client yet
    kPausing,
    kUp,
    kLeaving,
    kOver
  };
  enum class TrainerState { kNone, kMaking, kReady };
  enum class PeerStage {
    kNone,
    kOpening,  // of its port
    kWaiting,  // for the other peers
    kRunning,
    kLeaving,  // hands over
    kDone,
  };
  using Stage = JobStage;
  using Job = SessionJob;

  // Events.
  void On(const session_event::Started&);
  void On(session_event::Received& event);
  void On(const session_event::Closed& event);
  void On(const session_event::TrainerMade& event);
  void On(const session_event::TransferEnded& event);
  void On(const session_event::TransferMoved& event);
  void On(session_event::Worked& event);
  void On(session_event::PeerListens& event);
  void On(session_event::PeerReported& event);
  void On(session_event::PeerEnded& event);
  void On(const session_event::TimerFired& event);
  void On(const session_event::LeaveRequested& event);
  void On(const session_event::StopRequested& event);

  // Messages.
  void OnRegistered(v1::ServerMessage& message);
  void OnNotice(const v1::Notice& notice);
  void OnTask(v1::Task& task);
  void OnGrant(const v1::GrantUpload& grant);
  void OnVerdict(const v1::Verdict& verdict);
  void OnTaskOver(const v1::TaskOver& over);
  void OnGoodbye(const std::string& run, const v1::Goodbye& goodbye);

  // A gossip run's: session_machine_peer.cc.
  bool IsPeer() const { return peer_ != PeerStage::kNone; }
  void OnMembership(v1::Membership& membership);
  void StartPeerIfReady();
  void EndPeer();
  void TellOfRounds();
  std::string PeerWaitsFor() const;

  // The link.
  void Dial();
  void LoseLink(absl::string_view why, bool try_next);
  void Leave(absl::string_view reason, absl::Status status);
  void Exit(absl::Status status);
  void Send(v1::ClientMessage message);

  // The job.
  bool IsCurrent(const v1::TaskId& task) const;
  void StartDownload();
  uint64_t BeginTransfer();  // its number
  void StopTransfer();
  void WorkIfReady();
  void Answer();
  void FailJob(absl::string_view reason);
  void DropJob();
  void FreeNumbers();
  std::string JobText() const;  // "training of round 3"

  void DoWhatIsDue();
  void SendHeartbeat();
  void ReportWaiting();
  std::string WaitsFor() const;
  void SetWakeAt();
  absl::Duration HeartbeatPause() const;
  absl::Duration StallTime() const;
  absl::Duration Delay(int failures, absl::Duration longest);
  void Say(LogLevel level, std::string text);
  static std::string Text(absl::Duration d);  // "1.5 s"

  // Constant after construction.
  const SessionMachineOptions options_;

  v1::Register hello_;  // options_.hello, and runs that sent this client away
  Rng jitter_;
  absl::Time now_ = absl::InfinitePast();
  std::vector<SessionEffect> effects_;  // of this step
  absl::Time wake_at_ = absl::InfiniteFuture();

  Link link_ = Link::kNone;
  uint64_t connection_ = 0;
  size_t server_ = 0;  // index of the current one
  int dial_failures_ = 0;
  absl::Time link_deadline_ = absl::InfiniteFuture();  // of the link's state
  absl::Time offline_since_;  // while neither up nor leaving
  absl::Time up_since_;
  std::string last_error_;
  std::set<std::string> told_failures_;  // while it has no connection
  absl::Status exit_status_;             // while leaving

  v1::Registered registered_;  // the last one
  std::string run_;
  uint64_t term_ = 0;
  std::string notice_;  // the coordinator's, for people
  absl::Time next_heartbeat_ = absl::InfiniteFuture();

  uint64_t trainer_ = 0;
  TrainerState trainer_state_ = TrainerState::kNone;

  PeerStage peer_ = PeerStage::kNone;
  v1::Membership membership_;
  int64_t peer_since_ = 0;    // the epoch with which this peer came in
  std::string leave_reason_;  // of a peer that leaves
  PeerOutbox outbox_;
  absl::Time peer_done_at_;

  uint64_t last_job_ = 0;
  std::optional<Job> job_;
  uint64_t last_transfer_ = 0;
  uint64_t transfer_ = 0;                    // under way, or 0
  std::optional<uint64_t> transfer_chunks_;  // once seen
  absl::Time transfer_progress_;             // when it was seen to move
  absl::Time next_look_ = absl::InfiniteFuture();

  // What it waits for: link, trainer, job or peer, and its stage.
  std::tuple<Link, TrainerState, uint64_t, int> waits_;
  absl::Time waits_since_;
  absl::Time next_report_ = absl::InfiniteFuture();
};

}  // namespace parley

#endif  // PARLEY_CLIENT_SESSION_SESSION_MACHINE_H_
