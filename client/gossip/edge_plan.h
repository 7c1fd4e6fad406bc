// A peer's edges of each round, in the order in which it takes them.
#ifndef PARLEY_CLIENT_GOSSIP_EDGE_PLAN_H_
#define PARLEY_CLIENT_GOSSIP_EDGE_PLAN_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "common/topology/schedule.h"

namespace parley {

struct PlannedEdge {
  int peer = 0;
  double in = 0;   // W_jk, what peer j takes of k's; 0: it hears nothing
  double out = 0;  // W_kj; 0: it sends nothing

  bool operator==(const PlannedEdge&) const = default;
};

// A peer takes in one payload at a time, in a fixed order. Where edges have no
// direction the order is that of a greedy colouring of the round's edges: both
// ends get to an edge after the same number of others, so that nobody waits for
// a chain of others. Directed ones are ordered by how far away the sender is.
//
// Shared by all peers of a process. Not thread-safe: asked on one sequence.
class EdgePlan {
 public:
  explicit EdgePlan(std::shared_ptr<const Schedule> schedule)
      : schedule_(std::move(schedule)) {}

  const Schedule& schedule() const { return *schedule_; }
  int peers() const { return static_cast<int>(schedule_->peers()); }

  // In `round`, from 1.
  std::vector<PlannedEdge> EdgesOf(int64_t round, int peer);

  // Whom the peer meets at all, where the schedule repeats itself; where it
  // does not, all of few peers, or those of this round and the next of many.
  std::set<int> NeighboursOf(int64_t round, int peer);

 private:
  // By peer, its neighbours in order of their edges' colours.
  using Colouring = std::vector<std::vector<int>>;
  const Colouring& ColouringOf(int64_t round);
  Colouring Colour(int64_t round) const;

  const std::shared_ptr<const Schedule> schedule_;  // shared by all peers
  std::map<int64_t, Colouring> colourings_;         // the latest
};

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_EDGE_PLAN_H_
