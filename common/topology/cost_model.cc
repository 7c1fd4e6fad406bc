#include "common/topology/cost_model.h"

namespace parley {

double GossipSeconds(double degree, double model_bytes, const LinkCost& link) {
  if (degree == 0) return 0;
  return degree * model_bytes / link.bytes_per_second + link.latency_seconds;
}

double RingAllReduceSeconds(int64_t peers, double model_bytes,
                            const LinkCost& link) {
  const double n = static_cast<double>(peers);
  return 2 * (n - 1) / n * model_bytes / link.bytes_per_second +
         2 * (n - 1) * link.latency_seconds;
}

}  // namespace parley
