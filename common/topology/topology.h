// Who exchanges with whom in a gossip run, and with which weights.
#ifndef PARLEY_COMMON_TOPOLOGY_TOPOLOGY_H_
#define PARLEY_COMMON_TOPOLOGY_TOPOLOGY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace parley {

// More peers than this make no schedule.
inline constexpr int64_t kMostPeers = 16384;

// Between two peers, numbered from 0. Undirected.
struct PeerEdge {
  int64_t a = 0;
  int64_t b = 0;
};

// What a topology is made from; which fields count depends on `kind`, the name
// of its field in message Topology of run.proto.
struct TopologyOptions {
  std::string kind = "one_peer_exponential";
  bool directed = false;             // ring
  int64_t rows = 0;                  // grid, torus; 0: as square as m allows
  int64_t degree = 3;                // random_regular, < m
  double probability = 0;            // erdos_renyi, of an edge, in (0, 1]
  int64_t neighbours = 4;            // small_world, even, < m
  double rewire = 0.1;               // small_world, 0..1
  std::vector<PeerEdge> edges = {};  // edges
  int64_t k = 1;                     // base, neighbours at most, >= 1
  // (I + W)/2 in place of W: what D² and exact diffusion mix with.
  bool lazy = false;
};

// The kinds, in the order of run.proto.
std::vector<absl::string_view> TopologyKinds();

// What keeps peers from forming a topology.
struct TopologyFault {
  // Of the kind's message in run.proto: "degree", "edge[2]". Empty: the kind.
  std::string field;
  std::string text;  // "is 9: must be less than the 8 peers"
};

// Nothing where `peers` peers can form it. One peer alone can form any. What is
// drawn may still fail in Schedule::Create. options.kind is known.
std::optional<TopologyFault> FindTopologyFault(const TopologyOptions& options,
                                               int64_t peers);

// InvalidArgument: no such kind, or the fault.
absl::Status CheckTopology(const TopologyOptions& options, int64_t peers);

}  // namespace parley

#endif  // PARLEY_COMMON_TOPOLOGY_TOPOLOGY_H_
