// What a peer tells of a round to whoever audits it, or puts the rounds of all
// peers together.
#ifndef PARLEY_CLIENT_GOSSIP_PEER_REPORT_H_
#define PARLEY_CLIENT_GOSSIP_PEER_REPORT_H_

#include <cstdint>

#include "client/gossip/gossip_node.h"
#include "client/gossip/peer_state.h"
#include "common/report/conservation.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

PeerBooks BooksOf(int peer, const PeerState& state);

// All but the evaluation. Sketches have so many numbers.
v1::PeerReport ReportOf(const GossipRound& round, const PeerState& state,
                        int64_t epoch, uint64_t sketch_seed,
                        int sketch_numbers);

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_PEER_REPORT_H_
