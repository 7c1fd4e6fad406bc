// What the session machine hears and what it wants done. Tensors stay with the
// driver: jobs, transfers, trainers and connections are numbers here.
#ifndef PARLEY_CLIENT_SESSION_SESSION_EVENTS_H_
#define PARLEY_CLIENT_SESSION_SESSION_EVENTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/log.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

namespace session_event {

struct Started {};
struct Received {
  uint64_t connection;
  v1::ServerMessage message;
};
struct Closed {
  uint64_t connection;
  absl::Status why;
};
// Answers session_effect::MakeTrainer.
struct TrainerMade {
  uint64_t trainer;
  absl::Status status;
};
// Answers StartDownload or StartUpload: all bytes moved, or why not.
struct TransferEnded {
  uint64_t transfer;
  absl::Status status;
};
// Answers LookAtTransfer.
struct TransferMoved {
  uint64_t transfer;
  uint64_t chunks;  // so far
};
// Answers Work, with the result but for what the machine knows itself (task,
// base_version); or why the trainer failed.
struct Worked {
  uint64_t job;
  absl::StatusOr<v1::UpdateReady> result;
};
// Answers ListenForPeers: where other peers are to dial, or why nowhere.
struct PeerListens {
  absl::StatusOr<std::string> address;
};
// Of the peer that StartPeer started.
struct PeerReported {
  v1::PeerReport report;
};
struct PeerEnded {
  absl::StatusOr<v1::PeerDone> done;
};
struct TimerFired {
  // How much of the job's work is done, 0..1, where the trainer says so.
  std::optional<double> fraction = {};
};
// As StopRequested, but a peer at work hands over first.
struct LeaveRequested {
  std::string reason;
};
struct StopRequested {
  std::string reason;
};

}  // namespace session_event

using SessionEvent =
    std::variant<session_event::Started, session_event::Received,
                 session_event::Closed, session_event::TrainerMade,
                 session_event::TransferEnded, session_event::TransferMoved,
                 session_event::Worked, session_event::PeerListens,
                 session_event::PeerReported, session_event::PeerEnded,
                 session_event::TimerFired, session_event::LeaveRequested,
                 session_event::StopRequested>;

namespace session_effect {

// Opens a stream to `address`. There is one at a time.
struct Dial {
  uint64_t connection;
  std::string address;
};
struct HangUp {};
struct Send {
  v1::ClientMessage message;
};
// Makes a trainer for what the coordinator said, in place of an earlier one;
// FailedPrecondition where its model is not the coordinator's.
struct MakeTrainer {
  uint64_t trainer;
  v1::Registered registered;
};
// A new task; there is one at a time.
struct OpenJob {
  uint64_t job;
  v1::Task task;
};
// Takes in the job's payloads, from where an earlier download of the same job
// stopped. There is one transfer at a time.
struct StartDownload {
  uint64_t transfer;
  std::string token;
};
// Trains or evaluates, as the job's task says.
struct Work {
  uint64_t job;
};
// Sends the payloads of the job's result, from `offset` on.
struct StartUpload {
  uint64_t transfer;
  std::string token;
  uint64_t offset;
};
struct StopTransfer {};
// How far is it? Without an answer where it has not begun yet.
struct LookAtTransfer {};
// Nobody wants the job's result: cancels its work and frees its numbers.
struct DropJob {};
// Of a gossip run, once the trainer is there: begins to listen for other peers;
// `server` is the coordinator's address.
struct ListenForPeers {
  std::string server;
};
// Runs this client's peer, with the trainer. One that ends without being
// stopped is answered by PeerEnded; Exit stops it.
struct StartPeer {
  v1::Registered registered;
  v1::Membership membership;
};
// Some peers are elsewhere now, or a new epoch begins.
struct UpdatePeer {
  v1::Membership membership;
};
// The peer hands over what it has and ends: PeerEnded, with an error.
struct LeavePeer {
  std::string reason;
};
// Ends the peer: nothing is heard of it any more. Another StartPeer may follow.
struct EndPeer {};
struct Say {
  LogLevel level;
  std::string text;
};
// The last effect ever.
struct Exit {
  absl::Status status;
};

}  // namespace session_effect

using SessionEffect =
    std::variant<session_effect::Dial, session_effect::HangUp,
                 session_effect::Send, session_effect::MakeTrainer,
                 session_effect::OpenJob, session_effect::StartDownload,
                 session_effect::Work, session_effect::StartUpload,
                 session_effect::StopTransfer, session_effect::LookAtTransfer,
                 session_effect::DropJob, session_effect::ListenForPeers,
                 session_effect::StartPeer, session_effect::UpdatePeer,
                 session_effect::LeavePeer, session_effect::EndPeer,
                 session_effect::Say, session_effect::Exit>;

}  // namespace parley

#endif  // PARLEY_CLIENT_SESSION_SESSION_EVENTS_H_
