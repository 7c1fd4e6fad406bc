// A random connected graph in which each peer has `degree` neighbours: a
// circulant graph whose edges are switched in pairs, (a, b), (c, d) becoming
// (a, d), (c, b), which walks over all such graphs with equal weight (Cooper,
// Dyer and Greenhill 2007).
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "common/topology/graphs/graphs.h"
#include "common/topology/mixing_rows.h"

namespace parley {
namespace {

constexpr int kDraws = 1000;
constexpr int64_t kSwitchesAnEdge = 10;

std::vector<PeerEdge> CirculantEdges(int64_t peers, int64_t degree) {
  std::vector<PeerEdge> edges;
  for (int64_t peer = 0; peer < peers; ++peer) {
    for (int64_t offset = 1; offset <= degree / 2; ++offset) {
      edges.push_back({peer, (peer + offset) % peers});
    }
    if (degree % 2 == 1 && peer < peers / 2) {
      edges.push_back({peer, peer + peers / 2});
    }
  }
  return edges;
}

class Switcher {
 public:
  Switcher(int64_t peers, std::vector<PeerEdge> edges)
      : peers_(peers), edges_(std::move(edges)) {
    for (const PeerEdge& edge : edges_) present_.insert(Key(edge));
  }

  const std::vector<PeerEdge>& edges() const { return edges_; }

  // Switches two edges drawn at random, unless that makes a loop or an edge
  // twice.
  void Try(Rng& rng) {
    PeerEdge& first = edges_[rng.Below(edges_.size())];
    PeerEdge& second = edges_[rng.Below(edges_.size())];
    if (rng.Below(2) == 1) std::swap(second.a, second.b);
    const PeerEdge one = {first.a, second.b}, other = {second.a, first.b};
    if (one.a == one.b || other.a == other.b || present_.contains(Key(one)) ||
        present_.contains(Key(other))) {
      return;
    }
    present_.erase(Key(first));
    present_.erase(Key(second));
    first = one;
    second = other;
    present_.insert(Key(first));
    present_.insert(Key(second));
  }

 private:
  int64_t Key(const PeerEdge& edge) const {
    return std::min(edge.a, edge.b) * peers_ + std::max(edge.a, edge.b);
  }

  const int64_t peers_;
  std::vector<PeerEdge> edges_;
  absl::flat_hash_set<int64_t> present_;
};

}  // namespace

Fault CheckRandomRegular(const TopologyOptions& options, int64_t peers) {
  const int64_t degree = options.degree;
  const auto fault = [degree](auto... allowed) {
    return TopologyFault{"degree",
                         absl::StrCat("is ", degree, ": must be ", allowed...)};
  };
  if (degree < 1) return fault("1 or more");
  if (peers == 1) return std::nullopt;
  if (degree >= peers) return fault("less than the ", peers, " peers");
  if (degree % 2 == 1 && peers % 2 == 1) {
    return fault("even, as ", peers, " peers are an odd number");
  }
  if (degree == 1 && peers > 2) {
    return fault("2 or more to connect ", peers, " peers");
  }
  return std::nullopt;
}

ScheduleOr MakeRandomRegular(const TopologyOptions& options,
                             const ScheduleKey& key) {
  Rng rng(key.seed, "", key.epoch, "random_regular");
  Switcher switcher(key.peers, CirculantEdges(key.peers, options.degree));
  const int64_t switches =
      kSwitchesAnEdge * static_cast<int64_t>(switcher.edges().size());
  for (int draw = 0; draw < kDraws; ++draw) {
    for (int64_t i = 0; i < switches; ++i) switcher.Try(rng);
    if (Connected(key.peers, switcher.edges())) {
      return MetropolisSchedule(key.peers, switcher.edges());
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("none of ", kDraws, " random graphs of ", key.peers,
                   " peers with degree ", options.degree, " is connected"));
}

}  // namespace parley
