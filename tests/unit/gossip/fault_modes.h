// The gossip runs that fault tests go through.
#ifndef PARLEY_TESTS_UNIT_GOSSIP_FAULT_MODES_H_
#define PARLEY_TESTS_UNIT_GOSSIP_FAULT_MODES_H_

#include <ostream>
#include <string>
#include <utility>

#include "tests/unit/gossip/fault_bench.h"

namespace parley {

struct FaultMode {
  const char* name;
  const char* topology;
  AlgorithmOptions algorithm;
  int64_t average_every = 0;
  DType dtype = DType::kFloat64;
};

inline void PrintTo(const FaultMode& mode, std::ostream* out) {
  *out << mode.name;
}

inline const FaultMode kChoco = {"choco",
                                 "ring",
                                 {.kind = "choco",
                                  .compressor = "top",
                                  .share = 0.5,
                                  .consensus_step = 0.5}};

inline const FaultMode kModes[] = {
    {"ring", "ring", {}},
    {"star", "star", {.combine = true}},
    {"push_sum_on_ring", "ring", {.kind = "push_sum"}},
    {"one_peer", "one_peer_exponential", {}},
    {"static_exponential", "static_exponential", {.kind = "push_sum"}},
    {"matching", "random_matching", {}},
    {"tracking", "ring", {.kind = "gradient_tracking"}},
    {"d2", "ring", {.kind = "d2"}},
    {"decent_lam", "ring", {.kind = "decent_lam", .momentum = 0.8}},
    {"averages", "ring", {}, 2},
    {"pairs_on_ring", "ring", {.kind = "ad_psgd"}},
    {"pairs_on_star", "star", {.kind = "ad_psgd"}},
    {"pairs_of_all", "complete", {.kind = "ad_psgd"}},
    kChoco,
};

inline GossipWorldOptions OptionsOf(const FaultMode& mode, Executor* pool,
                                    int64_t peers, int64_t rounds,
                                    PeerFaults* faults,
                                    PeerDelta delta = nullptr) {
  TopologyOptions topology = Kind(mode.topology);
  topology.lazy = TraitsOf(mode.algorithm).lazy;
  GossipWorldOptions options = BenchOptions(
      pool, MakeSchedule(topology, peers), rounds, kElements, std::move(delta));
  options.start = [dtype = mode.dtype](int peer) {
    return ToParameters(RandomVector(7, peer, kElements), dtype);
  };
  options.algorithm = mode.algorithm;
  options.average_every = mode.average_every;
  options.faults = faults;
  return options;
}

// Whether edges alone, beside local steps, change x.
inline bool IsAudited(const AlgorithmOptions& algorithm) {
  const std::string& kind = algorithm.kind;
  return kind != "gradient_tracking" && kind != "d2" && kind != "decent_lam";
}

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_GOSSIP_FAULT_MODES_H_
