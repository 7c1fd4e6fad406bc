// The topology of a gossip run: what it is made from, and its rules.
#ifndef PARLEY_COMMON_CONFIG_RUN_TOPOLOGY_H_
#define PARLEY_COMMON_CONFIG_RUN_TOPOLOGY_H_

#include "common/config/complaints.h"
#include "common/topology/topology.h"
#include "parley/v1/run.pb.h"

namespace parley {

// With defaults filled in. Not lazy: that is the algorithm's to say.
TopologyOptions TopologyOptionsOf(const v1::Topology& topology);

// A part of CheckRules (rules.h): whether the peers can form gossip.topology.
// They are data.partition.parts, or unknown.
void CheckTopologyRules(const v1::RunConfig& config, Complaints& complaints);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_RUN_TOPOLOGY_H_
