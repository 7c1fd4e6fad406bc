// What peers tell of their rounds, put together round by round.
#ifndef PARLEY_SERVER_RENDEZVOUS_ROUND_LEDGER_H_
#define PARLEY_SERVER_RENDEZVOUS_ROUND_LEDGER_H_

#include <cstdint>
#include <functional>
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
// average at the end goes into it. A peer has one number over all epochs, by
// which RoundReport::edges names it: its index in the first, else one of its
// own. Not thread-safe.
class RoundLedger {
 public:
  // So many rounds may wait for a peer; the oldest is told without it then.
  static constexpr size_t kMaxOpen = 256;

  // Rounds up to `told` were given out before. `names` are the peers that there
  // are, by index.
  RoundLedger(const std::vector<std::string>& names, int64_t rounds,
              int64_t told);

  // Nothing where the round was told already, or the peer has told it. `names`
  // are those of the report's epoch, by index; null: what it says of edges is
  // left out.
  void Add(const std::string& peer, v1::PeerReport report,
           const std::vector<std::string>* names);

  // The peer is another process from that round on: what it told before is lost
  // with the one that it was.
  void WriteOff(const std::string& peer, int64_t first_round);

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
  double WrittenOff(const Reports& reports);
  void AddTraffic(const Reports& reports, RoundReport* report) const;

  int64_t rounds_;
  int64_t told_;
  std::vector<std::string> names_;  // by number
  std::map<std::string, int> number_of_;
  std::map<std::string, int64_t> latest_;
  std::map<int64_t, Reports> open_;
  std::map<int, double> last_omega_;  // by peer, of the last round told
  // By peer: ω that others have given it in the rounds that it did not tell.
  std::map<int, double> given_;
  struct Passed {
    int64_t epoch = -1;
    double omega = 0;  // as EdgeTraffic::flow_omega
  };
  std::map<std::pair<int, int>, Passed> passed_;   // by teller and other end
  std::vector<std::pair<int64_t, int>> replaced_;  // from a round on: a peer
  double written_off_ = 0;                         // of those that came again
};

}  // namespace parley

#endif  // PARLEY_SERVER_RENDEZVOUS_ROUND_LEDGER_H_
