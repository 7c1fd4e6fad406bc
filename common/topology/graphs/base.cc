// Base-(k+1) graphs (Takezawa et al. 2023, algorithms 1 to 3): exact averages
// after finitely many rounds of at most k neighbours each, for any number of
// peers.
#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/topology/graphs/graphs.h"
#include "common/topology/mixing_rows.h"

namespace parley {
namespace {

using Peers = std::vector<int64_t>;

// The fewest factors of n, each at most `most`; empty for 1, or if there are
// none.
std::vector<int64_t> FewestFactors(int64_t n, int64_t most) {
  if (n <= most) return n == 1 ? Peers{} : Peers{n};
  std::vector<int64_t> best;
  for (int64_t factor = most; factor > 1; --factor) {
    if (n % factor != 0) continue;
    std::vector<int64_t> rest = FewestFactors(n / factor, factor);
    if (rest.empty()) continue;
    if (best.empty() || rest.size() + 1 < best.size()) {
      best = std::move(rest);
      best.push_back(factor);
    }
  }
  return best;
}

// Algorithm 1, the k-peer hyper-hypercube: in round l the peers whose digits in
// mixed radix differ in the l-th alone average. |peers| has no prime factor
// above k + 1.
class HyperHypercube {
 public:
  HyperHypercube(Peers peers, int64_t k)
      : peers_(std::move(peers)),
        factors_(FewestFactors(static_cast<int64_t>(peers_.size()), k + 1)) {}

  int64_t rounds() const { return static_cast<int64_t>(factors_.size()); }

  // Again from the first after the last; does nothing if there are no rounds.
  void AddRound(int64_t round, SymmetricRows& rows) const {
    if (factors_.empty()) return;
    round %= rounds();
    int64_t stride = 1;
    for (int64_t l = 0; l < round; ++l) stride *= factors_[l];
    const int64_t factor = factors_[round];
    for (size_t first = 0; first < peers_.size(); ++first) {
      if (static_cast<int64_t>(first) / stride % factor != 0) continue;
      Peers clique;
      for (int64_t i = 0; i < factor; ++i) {
        clique.push_back(peers_[first + i * stride]);
      }
      rows.AddClique(clique);
    }
  }

 private:
  const Peers peers_;
  const std::vector<int64_t> factors_;
};

// The part of n that is made of prime factors up to `most`.
int64_t SmoothPart(int64_t n, int64_t most) {
  int64_t smooth = 1;
  for (int64_t prime = 2; prime <= std::min(n, most); ++prime) {
    for (; n % prime == 0; n /= prime) smooth *= prime;
  }
  return smooth;
}

// Algorithm 2. n in base k + 1 is Σ a_l (k + 1)^{p_l}: V_l has
// a_l (k + 1)^{p_l} peers, in a_l blocks.
class SimpleBase {
 public:
  SimpleBase(const Peers& peers, int64_t k) : k_(k) {
    const int64_t n = static_cast<int64_t>(peers.size());
    if (SmoothPart(n, k + 1) == n) {
      groups_.push_back({peers, {}, HyperHypercube(peers, k), {}});
      rounds_ = groups_[0].whole.rounds();
      return;
    }
    int64_t power = 1;
    while (power <= n / (k + 1)) power *= k + 1;
    for (int64_t first = 0; first < n; power /= k + 1) {
      const int64_t count = (n - first) / power;
      if (count == 0) continue;
      std::vector<Peers> blocks;
      std::vector<HyperHypercube> cubes;
      for (int64_t block = 0; block < count; ++block) {
        const auto begin = peers.begin() + first + block * power;
        blocks.emplace_back(begin, begin + power);
        cubes.emplace_back(blocks.back(), k);
      }
      const Peers all(peers.begin() + first,
                      peers.begin() + first + count * power);
      groups_.push_back(
          {all, std::move(blocks), HyperHypercube(all, k), std::move(cubes)});
      first += count * power;
    }
    averaged_ = groups_[0].whole.rounds();
    rounds_ = averaged_ + 1 + groups_[0].cubes[0].rounds();
  }

  int64_t rounds() const { return rounds_; }

  void AddRound(int64_t round, SymmetricRows& rows) const {
    const int64_t last = static_cast<int64_t>(groups_.size()) - 1;
    if (round < averaged_ || last == 0) {  // each group averages
      for (const Group& group : groups_) group.whole.AddRound(round, rows);
      return;
    }
    const int64_t exchange = round - averaged_;
    for (int64_t l = 0; l <= last; ++l) {
      if (l == exchange && l < last) {
        AddExchange(l, rows);
      } else if (l < exchange && l < last) {  // each block averages
        for (const HyperHypercube& cube : groups_[l].cubes) {
          cube.AddRound(exchange - l - 1, rows);
        }
      } else if (l == last && exchange >= last) {
        // These hold the mean already: what the paper adds for steps between.
        groups_[l].whole.AddRound(exchange - last, rows);
      }
    }
  }

 private:
  struct Group {
    Peers peers;                        // V_l
    std::vector<Peers> blocks;          // V_{l,1}, V_{l,2}, ...
    HyperHypercube whole;               // over V_l
    std::vector<HyperHypercube> cubes;  // over each block
  };

  // Each peer of the later groups meets one of each block of V_l, with weight
  // |V_l| / (a_l Σ_{l' >= l} |V_l'|): they then average what all do, as does
  // each block. Those of V_l that meet nobody average among themselves.
  void AddExchange(int64_t l, SymmetricRows& rows) const {
    const Group& group = groups_[l];
    const size_t blocks = group.blocks.size();
    size_t later = 0;
    for (size_t i = l + 1; i < groups_.size(); ++i) {
      later += groups_[i].peers.size();
    }
    const double weight =
        static_cast<double>(group.peers.size()) /
        static_cast<double>(blocks * (group.peers.size() + later));
    size_t met = 0;
    for (size_t i = l + 1; i < groups_.size(); ++i) {
      for (int64_t peer : groups_[i].peers) {
        for (const Peers& block : group.blocks) {
          rows.AddEdge(peer, block[met], weight);
        }
        ++met;
      }
    }
    Peers idle;
    for (const Peers& block : group.blocks) {
      idle.insert(idle.end(), block.begin() + met, block.end());
    }
    for (size_t i = 0; i < idle.size(); i += k_ + 1) {
      rows.AddClique(absl::MakeSpan(idle).subspan(i, k_ + 1));
    }
  }

  const int64_t k_;
  std::vector<Group> groups_;
  int64_t averaged_ = 0;  // rounds of the first stage, where there are groups
  int64_t rounds_ = 0;
};

// Algorithm 3: with n = p·q, p the smooth part, p simple graphs of q peers each
// beside each other, then q hypercubes across them; or one simple graph, where
// that takes no more rounds.
std::vector<SymmetricRows> BaseRounds(int64_t n, int64_t k) {
  Peers all(n);
  std::iota(all.begin(), all.end(), 0);
  const SimpleBase simple(all, k);
  const int64_t p = SmoothPart(n, k + 1), q = n / p;
  std::vector<SimpleBase> parts;
  for (int64_t part = 0; part < p; ++part) {
    parts.emplace_back(
        Peers(all.begin() + part * q, all.begin() + (part + 1) * q), k);
  }
  std::vector<HyperHypercube> across;
  for (int64_t i = 0; i < q; ++i) {
    Peers one_of_each;
    for (int64_t part = 0; part < p; ++part) {
      one_of_each.push_back(part * q + i);
    }
    across.emplace_back(std::move(one_of_each), k);
  }
  std::vector<SymmetricRows> rounds;
  if (simple.rounds() <= parts[0].rounds() + across[0].rounds()) {
    for (int64_t round = 0; round < simple.rounds(); ++round) {
      simple.AddRound(round, rounds.emplace_back(n));
    }
    return rounds;
  }
  for (int64_t round = 0; round < parts[0].rounds(); ++round) {
    rounds.emplace_back(n);
    for (const SimpleBase& part : parts) part.AddRound(round, rounds.back());
  }
  for (int64_t round = 0; round < across[0].rounds(); ++round) {
    rounds.emplace_back(n);
    for (const HyperHypercube& cube : across) {
      cube.AddRound(round, rounds.back());
    }
  }
  return rounds;
}

}  // namespace

Fault CheckBase(const TopologyOptions& options, int64_t) {
  if (options.k >= 1) return std::nullopt;
  return TopologyFault{"k",
                       absl::StrCat("is ", options.k, ": must be 1 or more")};
}

ScheduleOr MakeBase(const TopologyOptions& options, const ScheduleKey& key) {
  return PeriodicSchedule(
      key.peers, BaseRounds(key.peers, std::min(options.k, key.peers - 1)));
}

}  // namespace parley
