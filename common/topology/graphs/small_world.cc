// Small world (Watts and Strogatz 1998): a ring in which each peer has its
// nearest `neighbours`, each edge's far end moved with probability `rewire`.
// Drawn until all hang together.
#include <algorithm>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "common/topology/graphs/graphs.h"
#include "common/topology/mixing_rows.h"

namespace parley {
namespace {

constexpr int kDraws = 100;

std::vector<PeerEdge> Draw(const TopologyOptions& options, int64_t peers,
                           Rng& rng) {
  std::vector<PeerEdge> edges;
  for (int64_t offset = 1; offset <= options.neighbours / 2; ++offset) {
    for (int64_t peer = 0; peer < peers; ++peer) {
      edges.push_back({peer, (peer + offset) % peers});
    }
  }
  std::vector<absl::flat_hash_set<int64_t>> adjacent(peers);
  for (const PeerEdge& edge : edges) {
    adjacent[edge.a].insert(edge.b);
    adjacent[edge.b].insert(edge.a);
  }
  for (PeerEdge& edge : edges) {
    if (!(rng.Uniform() < options.rewire)) continue;
    if (static_cast<int64_t>(adjacent[edge.a].size()) == peers - 1) continue;
    int64_t far;
    do {
      far = static_cast<int64_t>(rng.Below(static_cast<uint64_t>(peers)));
    } while (far == edge.a || adjacent[edge.a].contains(far));
    adjacent[edge.a].erase(edge.b);
    adjacent[edge.b].erase(edge.a);
    edge.b = far;
    adjacent[edge.a].insert(far);
    adjacent[far].insert(edge.a);
  }
  return edges;
}

}  // namespace

Fault CheckSmallWorld(const TopologyOptions& options, int64_t peers) {
  const int64_t neighbours = options.neighbours;
  if (neighbours < 2 || neighbours % 2 != 0) {
    return TopologyFault{
        "neighbours",
        absl::StrCat("is ", neighbours, ": must be even, and 2 or more")};
  }
  if (!(options.rewire >= 0 && options.rewire <= 1)) {
    return TopologyFault{"rewire", absl::StrCat("is ", options.rewire,
                                                ": must be >= 0 and <= 1")};
  }
  if (peers > 1 && neighbours >= peers) {
    return TopologyFault{"neighbours", absl::StrCat("is ", neighbours,
                                                    ": must be less than the ",
                                                    peers, " peers")};
  }
  return std::nullopt;
}

ScheduleOr MakeSmallWorld(const TopologyOptions& options,
                          const ScheduleKey& key) {
  Rng rng(key.seed, "", key.epoch, "small_world");
  for (int draw = 0; draw < kDraws; ++draw) {
    const std::vector<PeerEdge> edges = Draw(options, key.peers, rng);
    if (Connected(key.peers, edges)) {
      return MetropolisSchedule(key.peers, edges);
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "none of ", kDraws, " small worlds of ", key.peers, " peers with ",
      options.neighbours, " neighbours and rewire ", options.rewire,
      " is connected: more neighbours connect"));
}

}  // namespace parley
