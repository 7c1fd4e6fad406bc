#include "common/config/run_topology.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"

namespace parley {
namespace {

// As many peers as can be told. 1, which can form anything, or as many as the
// edges name, where the data does not tell.
int64_t KnownPeers(const v1::RunConfig& config,
                   const TopologyOptions& options) {
  if (config.data().partition().has_parts()) {
    return config.data().partition().parts();
  }
  int64_t peers = 1;
  for (const PeerEdge& edge : options.edges) {
    peers = std::max({peers, edge.a + 1, edge.b + 1});
  }
  return peers;
}

}  // namespace

TopologyOptions TopologyOptionsOf(const v1::Topology& topology) {
  TopologyOptions options;
  switch (topology.kind_case()) {
    case v1::Topology::kRing:
      options.kind = "ring";
      options.directed = topology.ring().directed();
      break;
    case v1::Topology::kPath:
      options.kind = "path";
      break;
    case v1::Topology::kGrid:
      options.kind = "grid";
      options.rows = topology.grid().rows();
      break;
    case v1::Topology::kTorus:
      options.kind = "torus";
      options.rows = topology.torus().rows();
      break;
    case v1::Topology::kStar:
      options.kind = "star";
      break;
    case v1::Topology::kComplete:
      options.kind = "complete";
      break;
    case v1::Topology::kHypercube:
      options.kind = "hypercube";
      break;
    case v1::Topology::kStaticExponential:
      options.kind = "static_exponential";
      break;
    case v1::Topology::kRandomRegular:
      options.kind = "random_regular";
      options.degree = topology.random_regular().degree();
      break;
    case v1::Topology::kErdosRenyi:
      options.kind = "erdos_renyi";
      options.probability = topology.erdos_renyi().probability();
      break;
    case v1::Topology::kSmallWorld:
      options.kind = "small_world";
      options.neighbours = topology.small_world().neighbours();
      options.rewire = topology.small_world().rewire();
      break;
    case v1::Topology::kEdges:
      options.kind = "edges";
      for (const v1::Topology::Edge& edge : topology.edges().edge()) {
        options.edges.push_back({edge.a(), edge.b()});
      }
      break;
    case v1::Topology::kRandomMatching:
      options.kind = "random_matching";
      break;
    case v1::Topology::kBase:
      options.kind = "base";
      options.k = topology.base().k();
      break;
    case v1::Topology::kOnePeerExponential:
    case v1::Topology::KIND_NOT_SET:
      options.kind = "one_peer_exponential";
      break;
  }
  return options;
}

void CheckTopologyRules(const v1::RunConfig& config, Complaints& complaints) {
  if (!config.has_gossip()) return;
  const TopologyOptions options = TopologyOptionsOf(config.gossip().topology());
  const std::optional<TopologyFault> fault =
      FindTopologyFault(options, KnownPeers(config, options));
  if (!fault.has_value()) return;
  std::string path = absl::StrCat("gossip.topology.", options.kind);
  if (!fault->field.empty()) absl::StrAppend(&path, ".", fault->field);
  // What is wrong by itself was reported before.
  if (!complaints.InRange("data.partition.parts")) return;
  for (const char* part : {"", ".a", ".b"}) {
    if (!complaints.InRange(path + part)) return;
  }
  complaints.Conflict(path, fault->text);
}

}  // namespace parley
