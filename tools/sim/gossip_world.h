// All peers of a gossip run in one process and in virtual time, by the same
// machine and driver as between processes.
#ifndef PARLEY_TOOLS_SIM_GOSSIP_WORLD_H_
#define PARLEY_TOOLS_SIM_GOSSIP_WORLD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/gossip/gossip_node.h"
#include "client/sdk/trainer.h"
#include "common/base/executor.h"
#include "common/topology/schedule.h"
#include "tools/sim/in_process_peers.h"
#include "tools/sim/world.h"

namespace parley {

struct GossipWorldOptions {
  std::shared_ptr<const Schedule> schedule;  // shared by all peers
  // How many peers there may be in all, with those that join later; 0: as the
  // schedule has.
  int most_peers = 0;
  AlgorithmOptions algorithm;
  int64_t rounds = 0;
  int64_t average_every = 0;
  bool final_average = true;
  absl::Duration edge_timeout = absl::Seconds(15);
  absl::Duration start_wait = absl::InfiniteDuration();
  absl::Duration epoch_wait = absl::ZeroDuration();
  std::string run = "run";
  uint64_t spec_hash = 0;
  Executor* pool = nullptr;      // does the work; must outlive the world
  PeerFaults* faults = nullptr;  // may be null
  std::function<std::string(int peer)> name;  // null: "peer-" and its number
  std::function<ParameterVector(int peer)> start;
  std::function<absl::StatusOr<std::unique_ptr<Trainer>>(int peer)> trainer;
  // Of virtual time that a local step takes a peer; null: none.
  std::function<absl::Duration(int peer)> step_time;
  LinkLatency latency;  // null: 100 µs
  // So long after ChangeMembership a peer hears of it; null: at once.
  std::function<absl::Duration(int peer)> membership_after;
  // On the world's control executor.
  std::function<void(int peer, const GossipRound&, const PeerState&)> on_round;
  std::function<void(int peer, LogLevel, absl::string_view)> log;
  // A run that takes longer, in virtual time, is stuck.
  absl::Duration limit = absl::InfiniteDuration();
};

// Create, perhaps plan faults by timers of world(), Run, and look at the nodes.
class GossipWorld {
 public:
  static absl::StatusOr<std::unique_ptr<GossipWorld>> Create(
      GossipWorldOptions options);
  ~GossipWorld();

  // Until all peers are done. The first error of one that was not killed;
  // DeadlineExceeded: the limit passed; Internal: nothing happens any more.
  absl::Status Run();

  // Within a closure of the world: the peer's process dies.
  void Kill(int peer);
  // Likewise: it leaves in an orderly way.
  void Leave(int peer) { nodes_[peer]->Leave("it was asked to"); }
  // Likewise: these are the members from a round on, by index. Those that were
  // none so far are started, and join.
  absl::Status ChangeMembership(const std::vector<int>& members, int64_t epoch,
                                int64_t first_round,
                                std::shared_ptr<const Schedule> schedule);
  // Likewise: one that was killed is started again, as another incarnation, in
  // the epoch that the world began with.
  absl::Status Restart(int peer);
  bool killed(int peer) const { return killed_[peer]; }
  bool done(int peer) const { return done_[peer]; }

  World& world() { return world_; }
  PeerNetwork& network() { return network_; }
  // Null: it has not joined.
  const GossipNode* node_or_null(int peer) const { return nodes_[peer].get(); }
  const GossipNode& node(int peer) const { return *nodes_[peer]; }
  int peers() const { return static_cast<int>(nodes_.size()); }

 private:
  explicit GossipWorld(GossipWorldOptions options);
  GossipMembership MembershipOf(const std::vector<int>& members, int64_t epoch,
                                int64_t first_round,
                                std::shared_ptr<EdgePlan> plan) const;
  absl::Status AddNode(int peer, GossipMembership membership);
  void StartNode(int peer);

  const GossipWorldOptions options_;
  World world_;
  PeerNetwork network_;
  std::vector<std::unique_ptr<Trainer>> trainers_;  // of all nodes ever
  std::vector<std::unique_ptr<GossipNode>> nodes_;
  std::vector<std::unique_ptr<GossipNode>> dead_;  // that were started again
  std::vector<bool> killed_;
  std::vector<bool> done_;
  std::vector<uint64_t> incarnations_;
  GossipMembership first_;
  int running_ = 0;
  absl::Status error_;
};

}  // namespace parley

#endif  // PARLEY_TOOLS_SIM_GOSSIP_WORLD_H_
