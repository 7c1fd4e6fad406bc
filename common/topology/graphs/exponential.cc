// Exponential graphs (Ying et al. 2021): to the peers 1, 2, 4, ... further on,
// for any number of peers; all of them in each round, or one after another.
#include <utility>
#include <vector>

#include "common/topology/graphs/graphs.h"
#include "common/topology/mixing_rows.h"

namespace parley {
namespace {

// 2^i for i < τ = ⌈log₂ m⌉; all below m.
std::vector<int64_t> Offsets(int64_t peers) {
  std::vector<int64_t> offsets;
  for (int64_t offset = 1; offset < peers; offset *= 2) {
    offsets.push_back(offset);
  }
  return offsets;
}

}  // namespace

ScheduleOr MakeStaticExponential(const TopologyOptions&,
                                 const ScheduleKey& key) {
  return CirculantSchedule(key.peers, {Offsets(key.peers)});
}

ScheduleOr MakeOnePeerExponential(const TopologyOptions&,
                                  const ScheduleKey& key) {
  std::vector<std::vector<int64_t>> rounds;
  for (int64_t offset : Offsets(key.peers)) rounds.push_back({offset});
  return CirculantSchedule(key.peers, std::move(rounds));
}

}  // namespace parley
