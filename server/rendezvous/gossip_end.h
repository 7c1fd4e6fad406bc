// The end of a gossip run, as its peers tell of it.
#ifndef PARLEY_SERVER_RENDEZVOUS_GOSSIP_END_H_
#define PARLEY_SERVER_RENDEZVOUS_GOSSIP_END_H_

#include <optional>

#include "common/report/round_report.h"
#include "server/rendezvous/gossip_progress.h"
#include "server/rendezvous/peer_table.h"

namespace parley {

// Once some peers are done and all others of the present epoch lost; names all
// that were lost, in whatever epoch. `peers` has begun.
std::optional<RunEnd> EndOf(const PeerTable& peers);

// Puts what the peers found of the average, and of their own models before it,
// into the report of the last round. False: their averages are not one model;
// the first peer's counts.
bool AddEvaluations(const PeerTable& peers, RoundReport* last);

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_GOSSIP_END_H_
