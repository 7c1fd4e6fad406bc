// Erdős–Rényi: each pair of peers has an edge with the same probability. Drawn
// until all hang together.
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "common/topology/graphs/graphs.h"
#include "common/topology/mixing_rows.h"

namespace parley {
namespace {

constexpr int kDraws = 100;

}  // namespace

Fault CheckErdosRenyi(const TopologyOptions& options, int64_t) {
  if (options.probability > 0 && options.probability <= 1) return std::nullopt;
  return TopologyFault{"probability", absl::StrCat("is ", options.probability,
                                                   ": must be > 0 and <= 1")};
}

ScheduleOr MakeErdosRenyi(const TopologyOptions& options,
                          const ScheduleKey& key) {
  Rng rng(key.seed, "", key.epoch, "erdos_renyi");
  for (int draw = 0; draw < kDraws; ++draw) {
    std::vector<PeerEdge> edges;
    for (int64_t a = 0; a < key.peers; ++a) {
      for (int64_t b = a + 1; b < key.peers; ++b) {
        if (rng.Uniform() < options.probability) edges.push_back({a, b});
      }
    }
    if (Connected(key.peers, edges)) {
      return MetropolisSchedule(key.peers, edges);
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("none of ", kDraws, " random graphs of ", key.peers,
                   " peers with probability ", options.probability,
                   " of an edge is connected: it must be larger"));
}

}  // namespace parley
