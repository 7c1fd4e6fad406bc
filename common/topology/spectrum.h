// How fast a schedule brings peers together.
#ifndef PARLEY_COMMON_TOPOLOGY_SPECTRUM_H_
#define PARLEY_COMMON_TOPOLOGY_SPECTRUM_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "common/topology/schedule.h"

namespace parley {

// More peers than this have no spectrum: it needs dense m x m matrices.
inline constexpr int64_t kMostSpectrumPeers = 2048;

struct Spectrum {
  // ρ: ‖x − x̄‖ shrinks at least by it a round. σ₂(W) of a static W, else
  // σ₂(product)^(1/rounds), over a period or, for drawn W, over
  // `estimated_rounds`.
  double contraction = 0;
  // Drawn W only: ρ is an estimate over so many rounds. 0: it is exact.
  int64_t estimated_rounds = 0;
  // Rounds after which all peers hold the mean to rounding; 0: never.
  int64_t exact_after = 0;
  // λ_min(W) of a static symmetric W. D² needs > -1/3.
  std::optional<double> lambda_min;
  // Neighbours that a peer sends to in a round, or hears: at most, and the
  // most of each round averaged over the rounds looked at.
  int64_t max_degree = 0;
  double mean_degree = 0;

  double gap() const { return 1 - contraction; }
  // Rounds until ‖x − x̄‖ is below `share` of what it was at the start;
  // infinite without contraction. 0 < share < 1.
  double RoundsTo(double share) const;
};

// InvalidArgument: more than kMostSpectrumPeers peers.
absl::StatusOr<Spectrum> SpectrumOf(const Schedule& schedule);

}  // namespace parley

#endif  // PARLEY_COMMON_TOPOLOGY_SPECTRUM_H_
