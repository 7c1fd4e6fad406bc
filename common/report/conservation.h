// Whether the peers of a gossip run keep what mixing must not change: the sum
// of their models, and of their weights ω.
#ifndef PARLEY_COMMON_REPORT_CONSERVATION_H_
#define PARLEY_COMMON_REPORT_CONSERVATION_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace parley {

// Among RoundReport::metrics. Each of Σω and of Σx, all numbers of all models:
//
//   Σ over the peers that told of the round + in flight + written off
//     = what the peers began with + what they added by themselves since,
//
// of all peers that there ever were. In flight is what one end of an edge has
// counted and the other one, in doubt, has not; written off what the peers had
// that told of earlier rounds and not of this one, with what others have given
// them since. What was added is as the peers say it: by local steps, by what
// momentum, D² and gradient tracking carry on from earlier rounds, and by exact
// averages and copies for those that join, which are no exchange over an edge:
// that averages leave Σ as it was is not audited. Of gradient tracking the sum
// is of x and y. Peers of ad_psgd have no rounds in common: what differs at the
// two ends of their edges is in flight, and not an error of the edge.
inline constexpr char kMass[] = "mass";  // Σω: push-sum moves it about
inline constexpr char kWrittenOff[] = "written_off";
inline constexpr char kMassInFlight[] = "mass_in_flight";
inline constexpr char kMassAdded[] = "mass_added";
inline constexpr char kSum[] = "sum";
inline constexpr char kSumWrittenOff[] = "sum_written_off";
inline constexpr char kSumInFlight[] = "sum_in_flight";
inline constexpr char kSumAdded[] = "sum_added";
// The difference of the two sides above, divided by the magnitudes of all that
// they are made of, and of x by its norm, which its rounding is in proportion
// to: Σx may always be 0. Of x or of ω, whichever is larger. Rounding makes it
// small and not 0. Only where all peers tell what they added.
inline constexpr char kBalanceError[] = "balance_error";
// What went over an edge is counted at both ends, with opposite signs, of x and
// of ω: the largest sum of the two, less what may be in doubt, divided by the
// sum of all the magnitudes; of x or of ω, whichever is larger. A larger one
// than rounding makes says that an exchange counted at one end only.
inline constexpr char kConservationError[] = "conservation_error";
// Edges of which an end does not know yet whether the other end counted the
// last exchange. They are settled later.
inline constexpr char kInDoubt[] = "in_doubt";

struct Balance {
  double sum = 0;  // of all numbers
  double omega = 0;
};

// What a peer says of itself after a round.
struct PeerBooks {
  struct Edge {
    int peer = 0;
    Balance flow;  // in less out, so far
    bool in_doubt = false;
    Balance doubt = {};  // magnitudes: how much of the flow may not be so
  };
  int peer = 0;
  Balance has = {0, 1};
  double norm = 0;  // of x, about
  std::optional<Balance> added = {};
  Balance gone = {};             // flow with peers that are there no more
  std::vector<Edge> edges = {};  // where there is none, nothing has moved
};

// What is left of peers that tell no more.
struct WrittenOffBooks {
  // As they told last.
  void Add(const PeerBooks& books);

  Balance brought;  // what they had, less what came over their edges
  Balance added;
  double norm = 0;  // of all their x
};

// By the names above. `peers` told of the round, `written_off` did earlier.
// `in_step`: what the peers tell is of the same round.
std::map<std::string, double> AuditConservation(
    const std::vector<PeerBooks>& peers, const WrittenOffBooks& written_off,
    bool in_step = true);

// How far what a peer has is from what it added and what came over its edges,
// relative to the magnitudes of these: its own share of the audit. 0 where it
// does not tell what it added.
double OwnBalanceError(const PeerBooks& books);

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_CONSERVATION_H_
