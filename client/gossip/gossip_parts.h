// What the gossip machine is made with, and what it remembers of its neighbours
// and of a round.
#ifndef PARLEY_CLIENT_GOSSIP_GOSSIP_PARTS_H_
#define PARLEY_CLIENT_GOSSIP_GOSSIP_PARTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/gossip/edge_plan.h"
#include "client/gossip/peer_dialer.h"
#include "parley/v1/peer.pb.h"

namespace parley {

struct GossipMachineOptions {
  v1::PeerHello hello;             // of this peer; `round` is filled in
  std::vector<std::string> names;  // of all peers
  int64_t rounds = 0;
  bool trains_first = false;  // before it prepares what it sends
  // Edges give away (push-sum) instead of exchanging.
  bool flows = false;
  // Rounds that average all peers exactly: every so many; 0: none.
  int64_t average_every = 0;
  // Averages all peers exactly after the last round.
  bool final_average = true;
  absl::Duration edge_timeout = absl::Seconds(15);
  // Begins without peers that were never met for so long. For one that was and
  // is gone it waits for GossipMachine::kAloneAfter edge timeouts at most.
  absl::Duration start_wait = absl::InfiniteDuration();
  // A peer that joins a run that goes on begins with this round: with nothing
  // (flows), or with the model of a neighbour.
  int64_t first_round = 1;
  bool joins = false;
  // So long a peer waits at the end, where the average after all rounds failed
  // or others may not know that it did not, for an epoch that goes on without
  // those who are gone. Zero: there are no epochs.
  absl::Duration epoch_wait = absl::ZeroDuration();
};

// Whether two steps are the same one.
inline bool SameStep(const v1::PeerStep& a, const v1::PeerStep& b) {
  return a.epoch() == b.epoch() && a.round() == b.round() &&
         a.use() == b.use() && a.step() == b.step();
}

// Of the machine alone.
namespace gossip_parts {

// Of an edge: one direction of it in a round.
enum class Part { kNone, kWaiting, kUnderway, kWhole, kDone, kFailed };

// What the other end decides and has not told, for good or by a broken link.
struct Doubt {
  v1::PeerStep step;
  std::optional<bool> outcome = {};  // known, not yet performed
};
// Another peer, over rounds and links.
struct Neighbour : PeerContact {
  uint64_t incarnation = 0;
  uint64_t earlier = 0;  // incarnation, until this one is in a round
  int64_t round = 0;     // that it was in, as it has said over this link
  uint64_t chunks = 0;
  std::optional<v1::PeerStep> ready;     // the latest
  std::optional<v1::PeerStep> declined;  // the latest: it does not take that
  int64_t committed = 0;                 // where this peer decides
  int64_t decided = 0;
  std::optional<Doubt> doubt;  // where the other one does
  // Doubts that are over, until the next round begins: of this round, too, as
  // the edge goes on at once.
  std::vector<Doubt> settled;
};
struct Edge {  // of a round
  PlannedEdge plan;
  int position = 0;  // in its order
  Part in = Part::kNone;
  Part out = Part::kNone;
  bool received = false;  // the other one has our payload, as it says
  bool lost = false;      // in one direction at least, or given up
  double omega = 1;
  double scale_in = 1;  // of the share that comes: PeerBegin.scale
  absl::Time moved;
};
struct Average {     // of a round
  int in_step = 0;   // that comes next
  int out_step = 0;  // that goes next
  Part in = Part::kWaiting;
  bool token = false;      // all before this peer hold the average
  bool forwarded = false;  // it said so to the next one
  bool over = false;
  absl::Time moved;
};
struct Averages {         // over rounds
  int64_t committed = 0;  // the last one that this peer takes
  int64_t heard = 0;      // that any peer is known to take
  // Of the epoch: what became of all up to here is known, if the peer was there
  // from the epoch's start, so that it may speak.
  int64_t decided = 0;
  bool speaks = true;
  std::optional<Doubt> doubt = {};
};
struct Leaving {  // before the run is over
  std::string reason;
  bool now = false;  // this round is to be the last one
  int tries = 0;     // such rounds before
  double scale = 1;  // of what the round gives away
};

}  // namespace gossip_parts
}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_GOSSIP_PARTS_H_
