// The edges that the run file lists.
#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/topology/graphs/graphs.h"
#include "common/topology/mixing_rows.h"

namespace parley {

absl::Status CheckEdges(const TopologyOptions& options, int64_t peers) {
  absl::flat_hash_set<int64_t> present;
  for (const PeerEdge& edge : options.edges) {
    const auto wrong = [&edge](auto... why) {
      return absl::InvalidArgumentError(
          absl::StrCat("the edge ", edge.a, "-", edge.b, " ", why...));
    };
    const auto [low, high] = std::minmax(edge.a, edge.b);
    if (low < 0 || high >= peers) {
      return wrong("names a peer that is not one of 0..", peers - 1);
    }
    if (low == high) return wrong("joins a peer to itself");
    if (!present.insert(low * peers + high).second) {
      return wrong("is there twice");
    }
  }
  if (!Connected(peers, options.edges)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the edges do not connect all ", peers, " peers"));
  }
  return absl::OkStatus();
}

ScheduleOr MakeEdges(const TopologyOptions& options, const ScheduleKey& key) {
  return MetropolisSchedule(key.peers, options.edges);
}

}  // namespace parley
