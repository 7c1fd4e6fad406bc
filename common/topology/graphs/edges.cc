// The edges that the run file lists.
#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/topology/graphs/graphs.h"
#include "common/topology/mixing_rows.h"

namespace parley {

Fault CheckEdges(const TopologyOptions& options, int64_t peers) {
  absl::flat_hash_set<int64_t> present;
  for (size_t i = 0; i < options.edges.size(); ++i) {
    const PeerEdge& edge = options.edges[i];
    const auto fault = [i, &edge](auto... why) {
      return TopologyFault{
          absl::StrCat("edge[", i, "]"),
          absl::StrCat("is ", edge.a, "-", edge.b, ": ", why...)};
    };
    const auto [low, high] = std::minmax(edge.a, edge.b);
    if (low < 0 || high >= peers) {
      return fault("must join peers of 0..", peers - 1);
    }
    if (low == high) return fault("must join two peers");
    if (!present.insert(low * peers + high).second) {
      return fault("must be there once");
    }
  }
  if (Connected(peers, options.edges)) return std::nullopt;
  return TopologyFault{"",
                       absl::StrCat("must connect all of ", peers, " peers")};
}

ScheduleOr MakeEdges(const TopologyOptions& options, const ScheduleKey& key) {
  return MetropolisSchedule(key.peers, options.edges);
}

}  // namespace parley
