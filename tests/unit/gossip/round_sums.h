// What all peers have together after each round of a run whose edges break, and
// what they ought to: with what is in doubt, as one who sees both ends knows
// it.
#ifndef PARLEY_TESTS_UNIT_GOSSIP_ROUND_SUMS_H_
#define PARLEY_TESTS_UNIT_GOSSIP_ROUND_SUMS_H_

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/unit/gossip/fault_bench.h"

namespace parley {

// Watch, then make the world, Of, Run and Expect. Without epochs and averages
// after the last round.
class RoundSums {
 public:
  explicit RoundSums(AlgorithmOptions algorithm)
      : algorithm_(std::move(algorithm)),
        tracks_(algorithm_.kind == "gradient_tracking"),
        pairs_(TraitsOf(algorithm_).pairs) {}

  void Watch(GossipWorldOptions* options) {
    options->on_round = [this](int peer, const GossipRound& round,
                               const PeerState& state) {
      used_ += round.used_edges;
      lost_ += round.lost_edges;
      if (!pairs_) Note(peer, round.round, state);  // they have none in common
    };
  }
  void Of(const GossipWorld* world) { world_ = world; }

  // Of the edges that both ends, or one, might have used in a round.
  double LostShare() const {
    return static_cast<double>(lost_) / static_cast<double>(used_ + lost_);
  }

  // Σx is that of the start and of all local steps, Σω the number of peers; of
  // gradient tracking Σy is that of the round's local steps.
  void Expect(int64_t rounds, const PeerDelta& delta, double tolerance) const {
    const int peers = world_->peers();
    Vector x(kElements, 0.0), step(kElements, 0.0);
    for (int i = 0; i < peers; ++i) Add(1, RandomVector(7, i, kElements), &x);
    for (int64_t round = 1; round <= rounds; ++round) {
      Vector deltas(kElements, 0.0);
      for (int i = 0; i < peers; ++i) Add(1, delta(i, round, {}), &deltas);
      Scale(algorithm_.momentum, &step);
      Add(1, deltas, &step);
      Add(1, step, &x);
      if (pairs_) continue;
      SCOPED_TRACE(round);
      const Sums found = SumsAfter(round);
      EXPECT_NEAR(found.omega, peers, tolerance);
      ExpectNear(found.x, x, tolerance);
      if (tracks_) ExpectNear(found.y, deltas, tolerance);
      if (testing::Test::HasFailure()) return;
    }
    if (pairs_) ExpectNear(SumUp(*world_).x, x, tolerance);
  }

  // Edges that were in doubt after a round.
  int64_t doubts() const {
    int64_t count = 0;
    for (const auto& [round, all] : rounds_) count += all.doubts.size();
    return count;
  }

 private:
  struct Sums {
    int peers = 0;
    double omega = 0;
    Vector x = Vector(kElements, 0.0);
    Vector y = Vector(kElements, 0.0);
  };
  struct Doubt {
    int peer, other;
    v1::PeerUse use;
    int64_t round;
    Vector change;
    double omega;
  };
  struct Round {
    Sums sums;
    std::vector<Doubt> doubts;
  };

  static void Scale(double factor, Vector* v) {
    for (double& x : *v) x *= factor;
  }
  static Vector Half(const Vector& v, bool second) {
    const auto begin = v.begin() + (second ? kElements : 0);
    return Vector(begin, begin + kElements);
  }
  static void ExpectNear(const Vector& is, const Vector& should, double error) {
    for (int64_t i = 0; i < kElements; ++i) {
      EXPECT_NEAR(is[i], should[i], error) << i;
    }
  }

  void Note(int peer, int64_t round, const PeerState& state) {
    Round& all = rounds_[round];
    ++all.sums.peers;
    all.sums.omega += state.omega();
    Add(1, ToVector(state.x()), &all.sums.x);
    if (tracks_) {
      Add(1, Half(ToVector(state.sent()), true), &all.sums.y);
      Add(1, Half(ToVector(state.mixed()), true), &all.sums.y);
    }
    for (const auto& [other, kept] : state.doubts()) {
      all.doubts.push_back({peer, other, kept.use, kept.round,
                            ToVector(kept.change), kept.omega});
    }
    const GossipMachine& machine = world_->node(peer).machine();
    for (int other = 0; other < world_->peers(); ++other) {
      if (machine.committed(other) == round) {
        committed_.emplace(peer, other, round);
      }
    }
    if (machine.committed_average() == round) averages_.insert(round);
  }

  // Whether what a doubt keeps changes x when it is settled.
  bool Applies(const Doubt& doubt) const {
    const bool committed =
        doubt.other < 0
            ? averages_.contains(doubt.round)
            : committed_.contains({doubt.other, doubt.peer, doubt.round});
    return committed != (doubt.use == v1::FLOW);
  }
  // How often what was missed so many mixings ago has gone into x by now.
  double Times(double mixings) const {
    if (algorithm_.kind == "choco") return algorithm_.consensus_step;
    if (algorithm_.kind == "d2") return mixings;
    if (algorithm_.kind != "decent_lam") return 1;
    const double momentum = algorithm_.momentum;
    return (1 - std::pow(momentum, mixings)) / (1 - momentum);
  }

  Sums SumsAfter(int64_t round) const {
    const Round& all = rounds_.at(round);
    EXPECT_EQ(all.sums.peers, world_->peers());
    Sums sums = all.sums;
    for (const Doubt& doubt : all.doubts) {
      if (!Applies(doubt)) continue;
      const double mixings = static_cast<double>(round + 1 - doubt.round);
      sums.omega += doubt.omega;
      Add(Times(mixings), Half(doubt.change, false), &sums.x);
      if (!tracks_) continue;
      Add(mixings - 1, Half(doubt.change, true), &sums.x);
      Add(1, Half(doubt.change, true), &sums.y);
    }
    return sums;
  }

  const AlgorithmOptions algorithm_;
  const bool tracks_;
  const bool pairs_;
  const GossipWorld* world_ = nullptr;
  int64_t used_ = 0, lost_ = 0;
  std::map<int64_t, Round> rounds_;
  std::set<std::tuple<int, int, int64_t>> committed_;  // who decided, with whom
  std::set<int64_t> averages_;
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_GOSSIP_ROUND_SUMS_H_
