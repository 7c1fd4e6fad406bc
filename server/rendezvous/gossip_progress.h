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
  // `contraction` is ρ, where there is one.
  GossipProgress(std::string run, int64_t rounds,
                 std::optional<double> contraction, const PeerTable* peers,
                 const RoundLedger* ledger)
      : run_(std::move(run)),
        rounds_(rounds),
        expected_(contraction),
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
  const std::optional<double> expected_;
  const PeerTable& peers_;
  const RoundLedger& ledger_;

  std::optional<double> loss_, accuracy_, distance_;
  std::string spread_;          // of the peers' own models, in words
  double log_contraction_ = 0;  // summed up over `contractions_` rounds
  int64_t contractions_ = 0;
  uint64_t bytes_up_ = 0, bytes_down_ = 0;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_GOSSIP_PROGRESS_H_
