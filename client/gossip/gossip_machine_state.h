// What the gossip machine knows of its run, its neighbours and its round, and
// what follows from that. It changes nothing and wants nothing done.
#ifndef PARLEY_CLIENT_GOSSIP_GOSSIP_MACHINE_STATE_H_
#define PARLEY_CLIENT_GOSSIP_GOSSIP_MACHINE_STATE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/gossip/edge_plan.h"
#include "client/gossip/gossip_events.h"
#include "client/gossip/gossip_parts.h"
#include "parley/v1/peer.pb.h"

namespace parley {

// The machine inherits it, and alone changes it: from outside it is read only.
class GossipMachineState {
 public:
  int64_t round() const { return round_; }
  int64_t epoch() const { return hello_.epoch(); }
  uint64_t schedule_hash() const { return hello_.schedule_hash(); }
  // Edges of the last round that were used and given up, for reports.
  int used_edges() const { return used_edges_; }
  int lost_edges() const { return lost_edges_; }
  // The last round whose exchange or flow with `peer` this peer committed; 0:
  // none. What it may be in doubt about itself.
  int64_t committed(int peer) const;
  std::optional<int64_t> doubt(int peer) const;
  // Of averages: the last one known to be committed.
  int64_t committed_average() const { return averages_.committed; }
  // It ends before its last round, since it was asked to leave.
  bool left() const { return left_; }

 protected:
  enum class Phase {
    kNew,
    kJoining,   // waits for its links before the first round
    kIsolated,  // waits for any link
    kCopying,   // waits for a neighbour's model
    kRound,
    kMixing,
    kFinishing,  // done; others may still need to hear what was decided
    kOver
  };
  using Part = gossip_parts::Part;
  using Doubt = gossip_parts::Doubt;
  using Neighbour = gossip_parts::Neighbour;
  using Edge = gossip_parts::Edge;
  using Average = gossip_parts::Average;
  using Averages = gossip_parts::Averages;
  using Leaving = gossip_parts::Leaving;

  GossipMachineState(GossipMachineOptions options,
                     std::shared_ptr<EdgePlan> plan);
  GossipMachineState(const GossipMachineState&) = delete;
  GossipMachineState& operator=(const GossipMachineState&) = delete;
  ~GossipMachineState() = default;

  // Rounds.
  bool IsAverage(int64_t round) const;
  bool IsFinal() const { return round_ > options_.rounds; }
  int64_t LastRound() const {
    return options_.rounds + (options_.final_average ? 1 : 0);
  }
  bool IsAveraged() const { return averages_.committed > options_.rounds; }
  bool LacksAverage() const {
    return options_.final_average && !IsAveraged() && !left_;
  }

  // Edges.
  v1::PeerUse Use() const { return options_.flows ? v1::FLOW : v1::EXCHANGE; }
  v1::PeerStep StepOf(v1::PeerUse use, int32_t step = 0) const;
  bool IsNow(const v1::PeerStep& step, v1::PeerUse use) const;
  bool DecidesExchange(int peer) const { return self_ < peer; }
  Edge* EdgeOf(int peer);
  bool EdgesDone() const;
  bool IsStarting() const {
    return round_ == 1 && others_began_ == absl::InfiniteFuture() &&
           starts_by_ != absl::InfinitePast();
  }

  // A peer that leaves.
  bool HandsOver() const { return leave_ && leave_->now && options_.flows; }
  double ShareOf(const Edge& edge) const;  // that it gives away
  double MostScale(int peer) const;

  // Averages.
  int Next() const { return (self_ + 1) % peers_; }
  int Previous() const { return (self_ + peers_ - 1) % peers_; }
  int AverageSteps() const { return 2 * (peers_ - 1); }
  bool AverageMoves() const;
  v1::PeerMessage AveragesMessage() const;

  // Constant after construction.
  const GossipMachineOptions options_;

  // The epoch.
  v1::PeerHello hello_;
  std::vector<std::string> names_;
  std::shared_ptr<EdgePlan> plan_;  // shared by all peers of a process
  int self_;
  int peers_;
  std::optional<GossipMembership> next_epoch_;

  Phase phase_ = Phase::kNew;
  absl::Time phase_since_;
  std::map<int, Neighbour> neighbours_;
  bool tended_ = false;
  absl::Time others_began_ = absl::InfiniteFuture();  // the second round
  // Of one that met all its neighbours: the first round waits until then for
  // those that wait for others.
  absl::Time starts_by_ = absl::InfinitePast();

  // The round.
  int64_t round_;
  int64_t mixed_round_ = options_.first_round - 1;  // the last that it was in
  bool prepared_ = false;
  bool trained_ = false;
  bool alone_ = false;   // goes on without reaching anybody
  bool leaves_ = false;  // has said so
  absl::Time lacks_since_ = absl::InfinitePast();  // the average at the end
  std::optional<Leaving> leave_;
  bool left_ = false;
  bool copies_ = false;  // still has to get a model
  int asked_ = -1;       // for it, last; sent some of it last:
  absl::Time asked_since_;
  bool anew_ = false;  // the others go on after an earlier incarnation
  std::vector<Edge> edges_;
  std::optional<Average> average_;
  // The staging buffer: what was armed last, and whether it is in use.
  uint64_t armed_link_ = 0;
  v1::PeerStep armed_;
  bool armed_begun_ = false;
  double armed_omega_ = 1;
  double armed_scale_ = 1;
  bool staging_busy_ = false;
  int used_edges_ = 0;
  int lost_edges_ = 0;

  Averages averages_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_GOSSIP_MACHINE_STATE_H_
