// The α–β model of what a round of communication takes.
#ifndef PARLEY_COMMON_TOPOLOGY_COST_MODEL_H_
#define PARLEY_COMMON_TOPOLOGY_COST_MODEL_H_

#include <cstdint>

namespace parley {

struct LinkCost {
  double bytes_per_second = 0;  // > 0, of a peer, each way
  double latency_seconds = 0;
};

// d·M/B + L: every peer exchanges `model_bytes` with `degree` neighbours. 0
// without any.
double GossipSeconds(double degree, double model_bytes, const LinkCost& link);

// 2(n−1)/n·M/B + 2(n−1)·L: the exact average of n peers along a ring.
double RingAllReduceSeconds(int64_t peers, double model_bytes,
                            const LinkCost& link);

}  // namespace parley

#endif  // PARLEY_COMMON_TOPOLOGY_COST_MODEL_H_
