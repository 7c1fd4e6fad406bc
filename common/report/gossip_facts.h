// What the report of a gossip run knows from its run file.
#ifndef PARLEY_COMMON_REPORT_GOSSIP_FACTS_H_
#define PARLEY_COMMON_REPORT_GOSSIP_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "parley/v1/run.pb.h"

namespace parley {

// More peers take too long to find the spectrum of.
inline constexpr int64_t kMostPeersForRho = 256;

struct GossipFacts {
  std::string graph;  // of its first rounds, as SVG; empty: no graph
  std::optional<double> contraction;  // ContractionOf its first epoch
};

// Among RoundReport::metrics: ContractionOf the round's epoch.
inline constexpr char kRho[] = "rho";

// ρ of an epoch with so many peers, where W is the same in all its rounds and
// all mix by it: by how much mixing has to shrink ‖x − x̄‖. Errors as
// Schedule::Create.
absl::StatusOr<std::optional<double>> ContractionOf(const v1::RunConfig& config,
                                                    int64_t epoch,
                                                    int64_t peers);

// Of a run with gossip whose peers are known: filled and checked. Errors as
// Schedule::Create.
absl::StatusOr<GossipFacts> GossipFactsOf(const v1::RunConfig& config);

// One JSON object.
std::string ToJsonText(const GossipFacts& facts);

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_GOSSIP_FACTS_H_
