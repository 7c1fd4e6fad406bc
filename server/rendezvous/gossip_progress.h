// What people are told of a gossip run: its status, and whom it waits for.
#ifndef PARLEY_SERVER_RENDEZVOUS_GOSSIP_PROGRESS_H_
#define PARLEY_SERVER_RENDEZVOUS_GOSSIP_PROGRESS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "common/report/round_report.h"
#include "parley/v1/admin.pb.h"
#include "server/rendezvous/peer_table.h"
#include "server/rendezvous/round_ledger.h"

namespace parley {

// State and reason.
using RunEnd = std::pair<v1::RunState, std::string>;

// Borrows both. Not thread-safe.
class GossipProgress {
 public:
  GossipProgress(std::string run, int64_t rounds, const PeerTable* peers,
                 const RoundLedger* ledger)
      : run_(std::move(run)),
        rounds_(rounds),
        peers_(*peers),
        ledger_(*ledger) {}

  // A round was told.
  void Take(const RoundReport& report);

  // `registered` clients have a lease.
  v1::RunStatus Status(const std::optional<RunEnd>& end,
                       size_t registered) const;
  std::string WaitsFor(size_t registered) const;

 private:
  void DescribePeers(v1::RunStatus* status) const;

  const std::string run_;
  const int64_t rounds_;
  const PeerTable& peers_;
  const RoundLedger& ledger_;

  std::optional<double> loss_, accuracy_, distance_;
  bool evaluated_ = false;
  std::string spread_;          // of the peers' own models, in words
  double log_contraction_ = 0;  // summed up over `contractions_` rounds
  int64_t contractions_ = 0;
  double log_rho_ = 0;  // the same, of ρ
  int64_t rhos_ = 0;    // of those rounds had one
  uint64_t bytes_up_ = 0, bytes_down_ = 0;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_GOSSIP_PROGRESS_H_
