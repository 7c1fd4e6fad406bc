// The kinds of topology: what each demands, and the schedule that it makes.
#ifndef PARLEY_COMMON_TOPOLOGY_GRAPHS_GRAPHS_H_
#define PARLEY_COMMON_TOPOLOGY_GRAPHS_GRAPHS_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "common/topology/schedule.h"
#include "common/topology/topology.h"

namespace parley {

// Makers take options and peers that passed the kind's check, and 2 peers or
// more. InvalidArgument: what was drawn is not connected.
using ScheduleOr = absl::StatusOr<std::unique_ptr<Schedule>>;

// Checks are for 1 peer or more.
using Fault = std::optional<TopologyFault>;
Fault CheckAny(const TopologyOptions& options, int64_t peers);
Fault CheckGrid(const TopologyOptions& options, int64_t peers);
Fault CheckHypercube(const TopologyOptions& options, int64_t peers);
Fault CheckRandomRegular(const TopologyOptions& options, int64_t peers);
Fault CheckErdosRenyi(const TopologyOptions& options, int64_t peers);
Fault CheckSmallWorld(const TopologyOptions& options, int64_t peers);
Fault CheckEdges(const TopologyOptions& options, int64_t peers);
Fault CheckBase(const TopologyOptions& options, int64_t peers);

ScheduleOr MakeRing(const TopologyOptions& options, const ScheduleKey& key);
ScheduleOr MakePath(const TopologyOptions& options, const ScheduleKey& key);
ScheduleOr MakeGrid(const TopologyOptions& options, const ScheduleKey& key);
ScheduleOr MakeTorus(const TopologyOptions& options, const ScheduleKey& key);
ScheduleOr MakeStar(const TopologyOptions& options, const ScheduleKey& key);
ScheduleOr MakeComplete(const TopologyOptions& options, const ScheduleKey& key);
ScheduleOr MakeHypercube(const TopologyOptions& options,
                         const ScheduleKey& key);
ScheduleOr MakeStaticExponential(const TopologyOptions& options,
                                 const ScheduleKey& key);
ScheduleOr MakeRandomRegular(const TopologyOptions& options,
                             const ScheduleKey& key);
ScheduleOr MakeErdosRenyi(const TopologyOptions& options,
                          const ScheduleKey& key);
ScheduleOr MakeSmallWorld(const TopologyOptions& options,
                          const ScheduleKey& key);
ScheduleOr MakeEdges(const TopologyOptions& options, const ScheduleKey& key);
ScheduleOr MakeOnePeerExponential(const TopologyOptions& options,
                                  const ScheduleKey& key);
ScheduleOr MakeRandomMatching(const TopologyOptions& options,
                              const ScheduleKey& key);
ScheduleOr MakeBase(const TopologyOptions& options, const ScheduleKey& key);

// The rows of a grid or torus of `peers` peers, numbered row by row.
int64_t GridRows(const TopologyOptions& options, int64_t peers);

}  // namespace parley

#endif  // PARLEY_COMMON_TOPOLOGY_GRAPHS_GRAPHS_H_
