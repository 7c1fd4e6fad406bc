// What peers tell of their rounds, put together round by round.
#ifndef PARLEY_SERVER_RENDEZVOUS_ROUND_LEDGER_H_
#define PARLEY_SERVER_RENDEZVOUS_ROUND_LEDGER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/report/round_report.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

// How far apart the peers of a round were, by their sketches.
struct MixingMeasure {
  double distance = 0;  // (1/m) Σ ‖x_j − x̄‖² of what they sent
  // By how much mixing shrank its square root; none where there was nothing to
  // shrink.
  std::optional<double> contraction;
};
// Over the reports that have sketches, if those are two or more and equally
// long; else nothing.
std::optional<MixingMeasure> MeasureMixing(
    const std::vector<const v1::PeerReport*>& reports);

// Takes reports that were checked (peer_report_check.h), and gives out each
// round once, in order. The last round stays until TakeLast, as the exact
// average at the end goes into it. Not thread-safe.
class RoundLedger {
 public:
  // So many rounds may wait for a peer; the oldest is told without it then.
  static constexpr size_t kMaxOpen = 256;

  // Rounds up to `told` were given out before. `names` are the peers', by
  // index.
  RoundLedger(std::vector<std::string> names, int64_t rounds, int64_t told);

  // Nothing where the round was told already, or the peer has told it.
  void Add(int peer, v1::PeerReport report);

  // The next round of which all peers with `awaited` have told it or a later
  // one; or that has waited for too long.
  std::optional<RoundReport> Next(const std::vector<bool>& awaited);
  // The last round that there are reports of, with what was told of the
  // average. Nothing: all is told, or nothing came.
  std::optional<RoundReport> TakeLast();

  int64_t told() const { return told_; }
  // The latest round that the peer has told of; 0: none.
  int64_t latest(int peer) const { return latest_[peer]; }

 private:
  using Reports = std::map<int, v1::PeerReport>;  // by peer

  RoundReport Tell(int64_t round, const Reports& reports);
  void AddTraffic(const Reports& reports, RoundReport* report) const;

  std::vector<std::string> names_;
  int64_t rounds_;
  int64_t told_;
  std::vector<int64_t> latest_;
  std::map<int64_t, Reports> open_;
  std::map<int, double> last_omega_;  // by peer, of the last round told
};

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_ROUND_LEDGER_H_
