// What `parley topology` tells about a schedule.
#ifndef PARLEY_TOOLS_CLI_TOPOLOGY_TEXT_H_
#define PARLEY_TOOLS_CLI_TOPOLOGY_TEXT_H_

#include <cstdint>
#include <string>

#include "common/topology/cost_model.h"
#include "common/topology/schedule.h"
#include "common/topology/spectrum.h"
#include "common/topology/topology.h"

namespace parley {

// All borrowed.
struct TopologyFacts {
  const TopologyOptions& options;
  const Schedule& schedule;
  const Spectrum& spectrum;
  double model_bytes = 0;
  LinkCost link;
};

// The rounds that are printed and drawn: a period, or a few where each round's
// W is drawn.
int64_t ShownRounds(const Schedule& schedule);

// Whole lines. W only where it is small.
std::string DescribeTopology(const TopologyFacts& facts);

// One JSON object. W of each shown round is a list of rows, each a list of
// [peer, weight] for all weights that are not 0.
std::string TopologyJson(const TopologyFacts& facts);

}  // namespace parley

#endif  // PARLEY_TOOLS_CLI_TOPOLOGY_TEXT_H_
