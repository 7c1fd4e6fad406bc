// From a run file with `gossip` to what a peer needs.
#ifndef PARLEY_CLIENT_GOSSIP_GOSSIP_RUN_H_
#define PARLEY_CLIENT_GOSSIP_GOSSIP_RUN_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/gossip/gossip_node.h"
#include "client/gossip/membership.h"
#include "common/model/parameters.h"
#include "common/topology/schedule.h"
#include "parley/v1/run.pb.h"

namespace parley {

struct GossipRun {
  std::shared_ptr<const Schedule> schedule;  // may be shared by many peers
  ParameterSpec spec;
  // For any peer of the run: all but hello.index, hello.name and
  // hello.incarnation, on_round and log.
  GossipNodeOptions node;
};

// `config` is filled and checked, its facts stated. hello.run_id is a hash of
// all that peers must have alike: the run file but for where its data lies, the
// start, and the membership.
// InvalidArgument: no gossip in it; others as StartOf and Schedule::Create.
absl::StatusOr<GossipRun> MakeGossipRun(const v1::RunConfig& config,
                                        const Membership& membership);

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_GOSSIP_RUN_H_
