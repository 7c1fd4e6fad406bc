// What the report of a gossip run knows from its run file.
#ifndef PARLEY_COMMON_REPORT_GOSSIP_FACTS_H_
#define PARLEY_COMMON_REPORT_GOSSIP_FACTS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "parley/v1/run.pb.h"

namespace parley {

// More peers take too long to find the spectrum of.
inline constexpr int64_t kMostPeersForRho = 256;

struct GossipFacts {
  std::string graph;  // of its first rounds, as SVG; empty: no graph
  // ρ, where W is the same in all rounds and all mix by it; by how much mixing has to shrink
  // ‖x − x̄‖.
  std::optional<double> contraction;
};

// Of a run with gossip whose peers are known: filled and checked. Errors as
// Schedule::Create.
absl::StatusOr<GossipFacts> GossipFactsOf(const v1::RunConfig& config);

// One JSON object.
std::string ToJsonText(const GossipFacts& facts);

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_GOSSIP_FACTS_H_
