// What a schedule is made from, in 64 bits.
#ifndef PARLEY_COMMON_TOPOLOGY_SCHEDULE_HASH_H_
#define PARLEY_COMMON_TOPOLOGY_SCHEDULE_HASH_H_

#include <cstdint>

#include "common/topology/schedule.h"
#include "common/topology/topology.h"

namespace parley {

// XXH3-64 of all fields as little-endian 64-bit numbers, after the version of
// the rules by which schedules derive from them. Edges count in their order.
uint64_t ScheduleHash(const TopologyOptions& options, const ScheduleKey& key);

}  // namespace parley

#endif  // PARLEY_COMMON_TOPOLOGY_SCHEDULE_HASH_H_
