// A peer at work: trains, and mixes its model with its neighbours', round by
// round. Drives one GossipMachine; with ad_psgd a PairwiseMachine, and the
// other one for the average at the end.
#ifndef PARLEY_CLIENT_GOSSIP_GOSSIP_NODE_H_
#define PARLEY_CLIENT_GOSSIP_GOSSIP_NODE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/gossip/algorithms/algorithm.h"
#include "client/gossip/edge_plan.h"
#include "client/gossip/gossip_machine.h"
#include "client/gossip/pairwise/pairwise_machine.h"
#include "client/gossip/peer_link.h"
#include "client/gossip/peer_state.h"
#include "client/sdk/trainer.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/log.h"
#include "common/model/parameters.h"

namespace parley {

// What a peer tells of a round that it has ended. Round rounds + 1 is the exact
// average at the end, and each further try of it: it has no training.
struct GossipRound {
  int64_t round = 0;
  TrainResult trained;
  int used_edges = 0;
  int lost_edges = 0;
  uint64_t bytes_sent = 0;  // of payloads that were begun
  uint64_t bytes_received = 0;        // of payloads that came whole
  std::map<int, uint64_t> sent = {};  // of bytes_sent, by receiver
  // PeerState::neighbour_distance; 0 where that is beyond all numbers.
  double neighbour_distance = 0;
  absl::Duration elapsed;  // of the round
};

struct GossipNodeOptions {
  // hello: all but index, software and what else the caller knows are the
  // caller's to fill in; trains_first, flows and average_every follow from the
  // algorithm where it says so.
  GossipMachineOptions machine;
  AlgorithmOptions algorithm;
  std::vector<std::string> addresses;  // of all peers
  ParameterVector start;               // the model, equal on all peers
  // Both are called on the node's sequence and must not block. `state` is not
  // changed meanwhile.
  std::function<void(const GossipRound&, const PeerState& state)> on_round;
  std::function<void(LogLevel, absl::string_view)> log;  // null: Log()
};

// What a node stands on; all borrowed but the plan, all must outlive it.
struct GossipNodeSeams {
  PeerTransport* transport = nullptr;
  Clock* clock = nullptr;
  // Decisions and sending: short closures. Post must not run a closure before
  // it returns.
  Executor* control = nullptr;
  // Training and mixing: long closures, two at once.
  Executor* work = nullptr;
  std::shared_ptr<EdgePlan> plan;  // of the first epoch; asked on `control`
  Trainer* trainer = nullptr;
};

// Create, hand it to the transport that accepts links, Start, and wait for
// `done`; then destroy. Start, Stop, Leave and Accept are thread-safe.
class GossipNode final : public PeerAcceptor {
 public:
  // InvalidArgument: an unknown algorithm, one that the plan's schedule does
  // not do for or that nobody can join, numbers of peers that differ.
  static absl::StatusOr<std::unique_ptr<GossipNode>> Create(
      GossipNodeOptions options, GossipNodeSeams seams);
  // Stops, if it was started and is not done, and waits for the end: on a
  // single-threaded executor destroy it only when it is done.
  ~GossipNode() override;

  // `done` is called once, on the control executor, when nothing is under way
  // any more. OK: all rounds are done, or after Stop or Leave. Else what the
  // trainer said; Internal: it diverged; FailedPrecondition: it was left out of
  // an epoch, or all its neighbours refuse it for good.
  using Done = absl::AnyInvocable<void(absl::Status) &&>;
  void Start(Done done);
  void Stop(std::string reason);
  // Ends in an orderly way: after the round that it is in, and averages, one
  // more, in which it hands over what it has where edges give away; `done` is
  // called with OK, and left() says so. What it could not hand over is in
  // state(). Before the run began, or if called again: as Stop.
  void Leave(std::string reason);
  // From its first round on, or the next one where that has passed; with
  // ad_psgd never. Thread-safe.
  void ChangeMembership(GossipMembership membership);

  PeerLinkListener* Accept(PeerOrigin origin,
                           std::unique_ptr<PeerLink> link) override;

  // To be read on the node's sequence, within on_round, or when it is done.
  const PeerState& state() const;
  const GossipMachine& machine() const;
  bool left() const;  // after Leave, before the last round
  // Null but with ad_psgd.
  const PairwiseMachine* pairwise() const;

 private:
  class Impl;
  explicit GossipNode(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_GOSSIP_NODE_H_
