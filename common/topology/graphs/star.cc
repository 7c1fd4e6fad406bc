// Star: the first peer is its centre.
#include <vector>

#include "common/topology/graphs/graphs.h"
#include "common/topology/mixing_rows.h"

namespace parley {

ScheduleOr MakeStar(const TopologyOptions&, const ScheduleKey& key) {
  std::vector<PeerEdge> edges;
  for (int64_t peer = 1; peer < key.peers; ++peer) edges.push_back({0, peer});
  return MetropolisSchedule(key.peers, edges);
}

}  // namespace parley
