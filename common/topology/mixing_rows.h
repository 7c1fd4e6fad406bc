// Schedules from lists of edges, and from offsets around a circle.
#ifndef PARLEY_COMMON_TOPOLOGY_MIXING_ROWS_H_
#define PARLEY_COMMON_TOPOLOGY_MIXING_ROWS_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "common/topology/schedule.h"

namespace parley {

// A symmetric W under construction.
class SymmetricRows {
 public:
  explicit SymmetricRows(int64_t peers) : rows_(peers) {}

  // W_ab = W_ba = weight. a != b; at most once a pair.
  void AddEdge(int64_t a, int64_t b, double weight);
  // All pairs of `peers` with weight 1/|peers|: they average.
  void AddClique(absl::Span<const int64_t> peers);
  bool HasEdge(int64_t peer) const { return !rows_[peer].empty(); }

  // Row j: (k, W_jk) by ascending k, with the rest of the weight on j itself.
  std::vector<std::vector<PeerWeight>> Finish() &&;

 private:
  std::vector<std::vector<PeerWeight>> rows_;
};

// Metropolis weights W_jk = 1/(1 + max(d_j, d_k)), the rest on self. Edges are
// distinct pairs of distinct peers.
std::unique_ptr<Schedule> MetropolisSchedule(int64_t peers,
                                             absl::Span<const PeerEdge> edges);

// The symmetric matrices of `rounds`, again and again. At least one.
std::unique_ptr<Schedule> PeriodicSchedule(int64_t peers,
                                           std::vector<SymmetricRows> rounds);

// In round t each peer sends to those `offsets[t mod size]` further on, around
// a circle, with equal weights for all, itself included. Offsets are distinct,
// 1..peers-1, ascending; directed.
std::unique_ptr<Schedule> CirculantSchedule(
    int64_t peers, std::vector<std::vector<int64_t>> offsets);

// Whether all peers hang together.
bool Connected(int64_t peers, absl::Span<const PeerEdge> edges);

}  // namespace parley

#endif  // PARLEY_COMMON_TOPOLOGY_MIXING_ROWS_H_
