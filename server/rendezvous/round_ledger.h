// What peers tell of their rounds, put together round by round.
#ifndef PARLEY_SERVER_RENDEZVOUS_ROUND_LEDGER_H_
#define PARLEY_SERVER_RENDEZVOUS_ROUND_LEDGER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/report/conservation.h"
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
// average at the end goes into it. A peer has one number over all epochs, by
// which RoundReport::edges names it: its index in the first, else one of its
// own. Not thread-safe.
class RoundLedger {
 public:
  // So many rounds may wait for a peer; the oldest is told without it then.
  static constexpr size_t kMaxOpen = 256;

  // Rounds up to `told` were given out before. `names` are the peers that there
  // are, by index. `in_step`: see AuditConservation.
  RoundLedger(const std::vector<std::string>& names, int64_t rounds,
              int64_t told, bool in_step = true);

  // Nothing where the round was told already, or the peer has told it. `names`
  // are those of the report's epoch, by index; null: what it says of edges is
  // left out.
  void Add(const std::string& peer, v1::PeerReport report,
           const std::vector<std::string>* names);

  // The peer is another process from that epoch on: what it told before is lost
  // with the one that it was.
  void WriteOff(const std::string& peer, int64_t epoch);

  // The next round of which all that it waits for have told it or a later one;
  // or that has waited for too long.
  using Awaited = std::function<std::vector<std::string>(int64_t round)>;
  std::optional<RoundReport> Next(const Awaited& awaited);
  // The last round that there are reports of, with what was told of the
  // average. Nothing: all is told, or nothing came.
  std::optional<RoundReport> TakeLast();

  int64_t told() const { return told_; }
  // The latest round that the peer has told of; 0: none.
  int64_t latest(const std::string& peer) const;

 private:
  using Reports = std::map<int, v1::PeerReport>;  // by peer

  int NumberOf(const std::string& peer);
  RoundReport Tell(int64_t round, const Reports& reports);
  int ProcessOf(int peer, int64_t epoch);
  PeerBooks BooksOf(int peer, const v1::PeerReport& report);
  std::map<std::string, double> Audit(const Reports& reports);
  void AddTraffic(const Reports& reports, RoundReport* report) const;

  int64_t rounds_;
  int64_t told_;
  bool in_step_;
  std::vector<std::string> names_;  // by number
  std::map<std::string, int> number_of_;
  std::map<std::string, int64_t> latest_;
  std::map<int64_t, Reports> open_;
  // For the audit a peer is as many processes as it was started. By peer: the
  // epochs with which it came in anew; by peer and their count: a number.
  std::map<int, std::vector<int64_t>> came_anew_;
  std::map<std::pair<int, int>, int> processes_;
  std::map<int, PeerBooks> last_books_;  // by process, as it told last
};

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_ROUND_LEDGER_H_
