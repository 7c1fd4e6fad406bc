// Topologies as pictures.
#ifndef PARLEY_COMMON_TOPOLOGY_DRAWING_H_
#define PARLEY_COMMON_TOPOLOGY_DRAWING_H_

#include <cstdint>
#include <string>

#include "common/topology/schedule.h"
#include "common/topology/topology.h"

namespace parley {

// An SVG document with the graphs of the first `rounds` rounds side by side,
// readable on light and on dark pages. Peers stand in a circle, those of grids
// and tori in rows, a star's around its centre. The thicker an edge, the larger
// its weight; a peer that exchanges nothing is pale. `options` made the
// schedule.
std::string DrawTopology(const TopologyOptions& options,
                         const Schedule& schedule, int64_t rounds);

}  // namespace parley

#endif  // PARLEY_COMMON_TOPOLOGY_DRAWING_H_
