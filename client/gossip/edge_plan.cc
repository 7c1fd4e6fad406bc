#include "client/gossip/edge_plan.h"

#include <algorithm>
#include <map>
#include <utility>

namespace parley {
namespace {

// Drawn rounds whose colouring is kept: peers may be a few apart.
constexpr size_t kKeptColourings = 64;
// With drawn schedules so many peers are linked all with all from the start.
constexpr int kAllLinked = 64;

}  // namespace

EdgePlan::Colouring EdgePlan::Colour(int64_t round) const {
  const int m = peers();
  std::vector<std::vector<bool>> taken(m);  // colours, by peer
  std::vector<std::vector<std::pair<int, int>>> coloured(m);
  const auto has = [&taken](int peer, size_t colour) {
    return colour < taken[peer].size() && taken[peer][colour];
  };
  const auto take = [&](int peer, int other, size_t colour) {
    if (taken[peer].size() <= colour) taken[peer].resize(colour + 1);
    taken[peer][colour] = true;
    coloured[peer].emplace_back(colour, other);
  };
  for (int a = 0; a < m; ++a) {
    for (const PeerWeight& other : schedule_->Row(round - 1, a).in) {
      const int b = static_cast<int>(other.peer);
      if (b <= a) continue;
      size_t colour = 0;
      while (has(a, colour) || has(b, colour)) ++colour;
      take(a, b, colour);
      take(b, a, colour);
    }
  }
  Colouring result(m);
  for (int a = 0; a < m; ++a) {
    std::sort(coloured[a].begin(), coloured[a].end());
    for (const auto& [colour, other] : coloured[a]) result[a].push_back(other);
  }
  return result;
}

const EdgePlan::Colouring& EdgePlan::ColouringOf(int64_t round) {
  const int64_t period = schedule_->period();
  const int64_t key = period > 0 ? (round - 1) % period : round;
  const auto it = colourings_.find(key);
  if (it != colourings_.end()) return it->second;
  if (period == 0 && colourings_.size() >= kKeptColourings) {
    colourings_.erase(colourings_.begin());
  }
  return colourings_.emplace(key, Colour(round)).first->second;
}

std::vector<PlannedEdge> EdgePlan::EdgesOf(int64_t round, int peer) {
  const MixingRow row = schedule_->Row(round - 1, peer);
  std::map<int, PlannedEdge> edges;
  for (const PeerWeight& w : row.in) {
    if (w.weight != 0) edges[static_cast<int>(w.peer)].in = w.weight;
  }
  for (const PeerWeight& w : row.out) {
    if (w.weight != 0) edges[static_cast<int>(w.peer)].out = w.weight;
  }
  edges.erase(peer);
  std::vector<PlannedEdge> result;
  if (schedule_->symmetric()) {
    for (const int other : ColouringOf(round)[peer]) {
      const auto it = edges.find(other);
      if (it == edges.end()) continue;
      it->second.peer = other;
      result.push_back(it->second);
    }
    return result;
  }
  for (auto& [other, edge] : edges) {
    edge.peer = other;
    result.push_back(edge);
  }
  const int m = peers();
  std::sort(result.begin(), result.end(),
            [=](const PlannedEdge& a, const PlannedEdge& b) {
              return (peer - a.peer + m) % m < (peer - b.peer + m) % m;
            });
  return result;
}

std::set<int> EdgePlan::NeighboursOf(int64_t round, int peer) {
  const int64_t period = schedule_->period();
  const int64_t first = period > 0 ? 1 : round;
  const int64_t rounds = period > 0 ? period : 2;
  std::set<int> result;
  if (period == 0 && peers() <= kAllLinked) {
    for (int other = 0; other < peers(); ++other) result.insert(other);
    result.erase(peer);
    return result;
  }
  for (int64_t r = first; r < first + rounds; ++r) {
    const MixingRow row = schedule_->Row(r - 1, peer);
    for (const PeerWeight& w : row.in) result.insert(static_cast<int>(w.peer));
    for (const PeerWeight& w : row.out) result.insert(static_cast<int>(w.peer));
  }
  result.erase(peer);
  return result;
}

}  // namespace parley
