// A whole gossip run in one process and in virtual time.
#ifndef PARLEY_TOOLS_SIM_GOSSIP_SIMULATOR_H_
#define PARLEY_TOOLS_SIM_GOSSIP_SIMULATOR_H_

#include "absl/status/statusor.h"
#include "tools/sim/simulator.h"

namespace parley {

// More peers than this do not pass their average round in the end, which takes
// 2·m² messages: it is taken from outside.
//
// With ad_psgd a round is the same local step of all peers, each at its own
// time: those that are slower take part in it later.
inline constexpr int kMostAveragingPeers = 128;

// Simulate of a run with gossip: a peer for each part of its data. What is told
// of a round: bytes and losses of all peers; evaluation.central of the peers'
// mean; metrics
//   "consensus"    Tr Ξ = (1/m) Σ ‖w_j − w̄‖², of the peers' models
//   "contraction"  of ‖x − x̄‖ by a round's mixing alone; not with choco, which
//                  mixes public copies, nor with ad_psgd
//   "rho"          the most that the mixing matrix leaves of it; likewise
//   "lost_edges"   that were given up, counted at both ends
// and, of the last round, what each peer's model does on data.test.
absl::StatusOr<SimulatorResult> SimulateGossip(SimulatorOptions options);

}  // namespace parley

#endif  // PARLEY_TOOLS_SIM_GOSSIP_SIMULATOR_H_
