// What the gossip machine hears and what it wants done. Tensors stay with the
// driver: links are numbers here, peers their index in the run.
#ifndef PARLEY_CLIENT_GOSSIP_GOSSIP_EVENTS_H_
#define PARLEY_CLIENT_GOSSIP_GOSSIP_EVENTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "client/gossip/edge_plan.h"
#include "common/base/log.h"
#include "parley/v1/peer.pb.h"

namespace parley {

// Who takes part from a round on, as the one who writes epochs says.
struct GossipMembership {
  int64_t epoch = 0;
  int64_t first_round = 1;
  int self = 0;                    // this peer's index; −1: it is left out
  std::vector<std::string> names;  // by index
  std::vector<std::string> addresses;
  // By index: the epoch with which it came in, as the process that it is. None:
  // all with the first one.
  std::vector<int64_t> since = {};
  // Of the epoch's schedule; shared by all peers of a process.
  std::shared_ptr<EdgePlan> plan;
};

namespace gossip_event {

struct Started {};
// Another peer dialled: `link` is an even number that was not used before.
struct Accepted {
  uint64_t link;
  std::string certificate_name;  // that was verified, or empty
};
struct Received {
  uint64_t link;
  v1::PeerMessage message;  // no chunk
};
// The payload that Arm made ready for is here, checked; or why not.
struct PayloadEnded {
  uint64_t link;
  absl::Status status;
  uint64_t bytes = 0;  // for reports
};
struct Closed {
  uint64_t link;
  absl::Status why;
};
// Answers Prepare.
struct Prepared {};
// Answers Train.
struct Trained {
  absl::Status status;
};
// Answers Fold, KeepDoubt and OpenAverage: the staging buffer is free again.
struct Staged {};
// Answers Mix.
struct Mixed {
  absl::Status status;
};
struct TimerFired {
  // Chunks that each open link has moved so far.
  std::vector<std::pair<uint64_t, uint64_t>> chunks = {};
};
struct MembershipChanged {
  GossipMembership membership;
};
struct StopRequested {
  std::string reason;
};
// The peer leaves after its next gossip round; a second one: at once.
struct LeaveRequested {
  std::string reason;
};

}  // namespace gossip_event

using GossipEvent = std::variant<
    gossip_event::Started, gossip_event::Accepted, gossip_event::Received,
    gossip_event::PayloadEnded, gossip_event::Closed, gossip_event::Prepared,
    gossip_event::Trained, gossip_event::Staged, gossip_event::Mixed,
    gossip_event::TimerFired, gossip_event::MembershipChanged,
    gossip_event::StopRequested, gossip_event::LeaveRequested>;

namespace gossip_effect {

// Opens a link, by an odd number, to `peer`.
struct Dial {
  uint64_t link;
  int peer;
};
struct HangUp {
  uint64_t link;
};
struct Send {
  uint64_t link;
  v1::PeerMessage message;
};
// What Prepare made, or the segment of an average. `scale`: see PeerBegin.
struct SendPayload {
  uint64_t link;
  int peer;
  v1::PeerStep step;
  double scale = 1;
};
// The next payload of the link goes into the staging buffer. `weight`: of the
// edge, before its scale (see PeerBegin).
struct Arm {
  uint64_t link;
  int peer;
  v1::PeerStep step;
  double weight = 1;
};
// The peer's local steps of the round. One at a time, beside all else.
struct Train {
  int64_t round;
};
// The effects from here to Mix are done one after another, in order.
//
// Makes what the round sends, and keeps it as it is until Mix. `plain`: x, to
// which no local steps are added: of the average after all rounds, and of what
// a peer that leaves hands over.
struct Prepare {
  int64_t round;
  bool plain = false;
};
// Adds what was staged to what the round mixes in, with the edge's weight;
// `omega` came with it. Of an average: the segment of this step.
struct Fold {
  int peer;
  v1::PeerStep step;
  double weight;
  double omega;
};
// What was sent counts at the other end of a flow: its share of it is given
// away.
struct Give {
  int peer;
  double weight;
};
// The peer may or may not have used what this peer sent in the round: keeps
// what it would change. Of an exchange the difference to what is staged; of a
// flow what was sent, which is given away, too.
struct KeepDoubt {
  int peer;
  v1::PeerStep step;
  double weight;
};
// The doubt about the step is over. The change is made late, after so many
// rounds, or not.
struct Settle {
  int peer;
  v1::PeerStep step;
  bool committed;
  int64_t rounds_late;
};
// The end of an average: what was summed up becomes what the round mixes in;
// and, where `applied` is false, is forgotten.
struct CloseAverage {
  bool applied;
};
// What was staged is another peer's model: begins with it.
struct TakeModel {};
// Begins with nothing: ω = 0.
struct TakeNothing {};
// From this round on peers have other indices: by the old one, −1 for those
// that are gone. The driver dials by the new ones.
struct ChangeEpoch {
  int64_t round;
  int self;
  std::vector<int> index;
  std::vector<std::string> addresses;
  // By the new index: it is another process than the one that was so called.
  std::vector<bool> begins_anew;
};
// Makes the peer's next state.
struct Mix {
  int64_t round;
};
struct Say {
  LogLevel level;
  std::string text;
};
// The last effect ever.
struct Exit {
  absl::Status status;
};

}  // namespace gossip_effect

using GossipEffect = std::variant<
    gossip_effect::Dial, gossip_effect::HangUp, gossip_effect::Send,
    gossip_effect::SendPayload, gossip_effect::Arm, gossip_effect::Train,
    gossip_effect::Prepare, gossip_effect::Fold, gossip_effect::Give,
    gossip_effect::KeepDoubt, gossip_effect::Settle,
    gossip_effect::CloseAverage, gossip_effect::TakeModel,
    gossip_effect::TakeNothing, gossip_effect::ChangeEpoch, gossip_effect::Mix,
    gossip_effect::Say, gossip_effect::Exit>;

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_GOSSIP_EVENTS_H_
