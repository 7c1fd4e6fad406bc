// Whether the peers of a gossip run keep what mixing must not change: the sum
// of their models, and of their weights ω.
#ifndef PARLEY_COMMON_REPORT_CONSERVATION_H_
#define PARLEY_COMMON_REPORT_CONSERVATION_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace parley {

// Among RoundReport::metrics.
//
// Σω over the peers that told of the round: push-sum moves ω about, all other
// algorithms leave it at 1 each. With what was written off and what is in doubt
// it is the number of peers, and of those that came later with an ω of their
// own.
inline constexpr char kMass[] = "mass";
// What went over an edge is counted at both ends, with opposite signs, of x and
// of ω: the largest sum of the two, divided by the sum of all the magnitudes;
// of x or of ω, whichever is larger. Rounding makes it small and not 0. A
// larger one says that an exchange counted at one end only.
inline constexpr char kConservationError[] = "conservation_error";
// Edges of which an end does not know yet whether the other end counted the
// last exchange. They are settled later, and not part of the error until then.
inline constexpr char kInDoubt[] = "in_doubt";
// ω of the peers that told of earlier rounds and not of this one, as they told
// last, and what others have given them since: what is lost with them. Also of
// those that have come again since, as processes that knew nothing of it.
inline constexpr char kWrittenOff[] = "written_off";

// What a peer says of its edges after a round.
struct PeerBooks {
  struct Edge {
    int peer = 0;
    double flow = 0;  // of the sum of the numbers of x: in less out, so far
    double flow_omega = 0;
    bool in_doubt = false;
  };
  int peer = 0;
  int64_t epoch = 0;  // counters begin anew with each
  double omega = 1;
  std::vector<Edge> edges;  // where there is none, nothing has moved
};

// By the names above. Edges between peers of different epochs, or with a peer
// that is not in `peers`, cannot be checked.
std::map<std::string, double> AuditConservation(
    const std::vector<PeerBooks>& peers, double written_off);

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_CONSERVATION_H_
