// The mixing matrix of each round of a gossip run.
#ifndef PARLEY_COMMON_TOPOLOGY_SCHEDULE_H_
#define PARLEY_COMMON_TOPOLOGY_SCHEDULE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "common/topology/topology.h"

namespace parley {

struct PeerWeight {
  int64_t peer = 0;
  double weight = 0;

  bool operator==(const PeerWeight& other) const {
    return peer == other.peer && weight == other.weight;
  }
};

// One peer's part in a round with mixing matrix W.
struct MixingRow {
  // (k, W_jk) of all that peer j hears, itself included, by ascending k: the
  // order in which it accumulates. Sums to 1.
  std::vector<PeerWeight> in;
  // (k, W_kj) of all that hear peer j, itself included, by ascending k. Sums
  // to 1: push-sum's column-stochastic weights. Equal to `in` if symmetric.
  std::vector<PeerWeight> out;
};

// What a schedule depends on besides its options.
struct ScheduleKey {
  uint64_t seed = 0;
  int64_t epoch = 0;  // of the membership
  int64_t peers = 0;  // of that epoch: 0..peers-1
};

// W of every round of one membership epoch, doubly stochastic each. A pure
// function of options, key and round: every peer derives it for itself.
// Immutable and safe to use from several threads.
class Schedule {
 public:
  // InvalidArgument: as CheckTopology, or no connected graph came out of a
  // bounded number of draws.
  static absl::StatusOr<std::unique_ptr<const Schedule>> Create(
      const TopologyOptions& options, const ScheduleKey& key);
  virtual ~Schedule() = default;

  int64_t peers() const { return peers_; }
  // Rounds after which W repeats itself: 1 for static graphs, 0 if each round's
  // is drawn.
  int64_t period() const { return period_; }
  // Whether W_jk = W_kj in all rounds; else edges have a direction, and lost
  // messages need push-sum.
  bool symmetric() const { return symmetric_; }
  // Of all that a schedule is made from: peers with equal hashes mix by the
  // same matrices.
  uint64_t hash() const { return hash_; }

  // Of peer `peer` in round `round`, from 0. Costs O(neighbours); for drawn
  // matchings O(m) once a round.
  MixingRow Row(int64_t round, int64_t peer) const;

 protected:
  Schedule(int64_t peers, int64_t period, bool symmetric)
      : peers_(peers), period_(period), symmetric_(symmetric) {}

 private:
  virtual MixingRow RowOf(int64_t round, int64_t peer) const = 0;

  const int64_t peers_;
  const int64_t period_;
  const bool symmetric_;
  // Set by Create.
  bool lazy_ = false;
  uint64_t hash_ = 0;
};

}  // namespace parley

#endif  // PARLEY_COMMON_TOPOLOGY_SCHEDULE_H_
