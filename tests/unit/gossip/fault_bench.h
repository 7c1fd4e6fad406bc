// What goes wrong in gossip runs of the tests, and what is conserved then.
#ifndef PARLEY_TESTS_UNIT_GOSSIP_FAULT_BENCH_H_
#define PARLEY_TESTS_UNIT_GOSSIP_FAULT_BENCH_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/inline_executor.h"
#include "tests/unit/gossip/gossip_bench.h"

namespace parley {

inline constexpr int64_t kElements = 5;

inline TopologyOptions Kind(std::string kind) {
  TopologyOptions options;
  options.kind = std::move(kind);
  return options;
}

// Breaks a link at the n-th message or payload of the whole run, from 1; a
// payload after so many chunks. Counts them.
class BreakAtStep final : public PeerFaults {
 public:
  explicit BreakAtStep(int64_t step, int64_t chunks = 0)
      : step_(step), chunks_(chunks) {}
  bool BreaksAt(int from, int to, const v1::PeerMessage& message) override {
    if (message.has_hello()) last_hello_ = count_ + 1;
    const bool too = beside != nullptr && beside->BreaksAt(from, to, message);
    return (Count(from, to) && !on_break) || too;
  }
  std::optional<int64_t> BreaksPayloadAfter(int from, int to,
                                            const v1::PeerBegin&) override {
    if (!Count(from, to) || on_break) return std::nullopt;
    return chunks_;
  }
  int64_t steps() const { return count_; }
  int64_t last_hello() const { return last_hello_; }  // its step

  // Instead of breaking the link.
  std::function<void(int from, int to)> on_break;
  PeerFaults* beside = nullptr;  // messages that it loses are lost, too

 private:
  bool Count(int from, int to) {
    if (++count_ != step_) return false;
    if (on_break) on_break(from, to);
    return true;
  }
  const int64_t step_;
  const int64_t chunks_;
  int64_t count_ = 0;
  int64_t last_hello_ = 0;
};

// Breaks links where an edge moves in a round.
class EdgeFaults : public PeerFaults {
 public:
  enum Place { kReady, kReceived, kDecision, kPayload };
  static constexpr Place kPlaces[] = {kReady, kReceived, kDecision, kPayload};

  bool BreaksAt(int from, int to, const v1::PeerMessage& message) final {
    switch (message.kind_case()) {
      case v1::PeerMessage::kReady:
        return Counts(from, to, message.ready().step(), kReady);
      case v1::PeerMessage::kReceived:
        return Counts(from, to, message.received().step(), kReceived);
      case v1::PeerMessage::kDecision:
        return Counts(from, to, message.decision().step(), kDecision);
      default:
        return false;
    }
  }
  std::optional<int64_t> BreaksPayloadAfter(int from, int to,
                                            const v1::PeerBegin& begin) final {
    if (!Counts(from, to, begin.step(), kPayload)) return std::nullopt;
    return 0;
  }
  int64_t broken() const { return broken_; }

 private:
  virtual bool Breaks(int from, int to, const v1::PeerStep& step,
                      Place place) = 0;
  bool Counts(int from, int to, const v1::PeerStep& step, Place place) {
    if (step.use() == v1::AVERAGE || !Breaks(from, to, step, place)) {
      return false;
    }
    ++broken_;
    return true;
  }
  int64_t broken_ = 0;
};

// All edges lose their links at one place, in all rounds from one to another:
// once in each, and on the way from the lower peer to the higher one or back.
class BreakInRounds final : public EdgeFaults {
 public:
  BreakInRounds(Place place, bool up, int64_t first, int64_t last)
      : place_(place), up_(up), first_(first), last_(last) {}

 private:
  bool Breaks(int from, int to, const v1::PeerStep& step,
              Place place) override {
    return place == place_ && (from < to) == up_ && step.round() >= first_ &&
           step.round() <= last_ &&
           were_.emplace(from, to, step.round()).second;
  }
  const Place place_;
  const bool up_;
  const int64_t first_, last_;
  std::set<std::tuple<int, int, int64_t>> were_;
};

// Each edge and round loses its link once with some probability, at a place
// of those that its edges have.
class RandomLoss final : public EdgeFaults {
 public:
  RandomLoss(uint64_t seed, double loss) : seed_(seed), loss_(loss) {}

 private:
  bool Breaks(int from, int to, const v1::PeerStep& step,
              Place place) override {
    Rng rng(seed_, absl::StrCat(std::min(from, to), "-", std::max(from, to)),
            step.round(), "loss");
    if (rng.Uniform() >= loss_) return false;
    static constexpr Place kOfFlows[] = {kReady, kDecision, kPayload};
    const Place drawn =
        step.use() == v1::FLOW ? kOfFlows[rng.Below(3)] : kPlaces[rng.Below(4)];
    return place == drawn &&
           were_.emplace(std::min(from, to), std::max(from, to), step.round())
               .second;
  }
  const uint64_t seed_;
  const double loss_;
  std::set<std::tuple<int, int, int64_t>> were_;
};

struct Sums {
  Vector x;
  double omega = 0;
};

inline void Add(double factor, const Vector& v, Vector* to) {
  for (size_t i = 0; i < v.size(); ++i) (*to)[i] += factor * v[i];
}

inline int64_t CommittedWith(const GossipNode& node, int peer) {
  return node.pairwise() != nullptr ? node.pairwise()->committed(peer)
                                    : node.machine().committed(peer);
}

// Over all peers, and what is in flight between them, as one who sees both ends
// knows it.
inline Sums SumUp(const GossipWorld& world) {
  Sums sums{Vector(kElements, 0.0), 0};
  int64_t average = 0;
  for (int i = 0; i < world.peers(); ++i) {
    average = std::max(average, world.node(i).machine().committed_average());
  }
  for (int i = 0; i < world.peers(); ++i) {
    const PeerState& state = world.node(i).state();
    Add(1, ToVector(state.x()), &sums.x);
    sums.omega += state.omega();
    for (const auto& [peer, kept] : state.doubts()) {
      const bool committed =
          peer < 0 ? average == kept.round
                   : CommittedWith(world.node(peer), i) == kept.round;
      if (committed == (kept.use == v1::FLOW)) continue;
      Add(1, ToVector(kept.change), &sums.x);
      sums.omega += kept.omega;
    }
  }
  return sums;
}

inline void ExpectConserved(const GossipWorld& world,
                            double tolerance = 1e-11) {
  Vector start(kElements, 0.0);
  for (int i = 0; i < world.peers(); ++i) {
    Add(1, RandomVector(7, i, kElements), &start);
  }
  const Sums sums = SumUp(world);
  for (int64_t i = 0; i < kElements; ++i) {
    EXPECT_NEAR(sums.x[i], start[i], tolerance);
  }
  EXPECT_NEAR(sums.omega, world.peers(), tolerance);
}

// The same where peers are dead, from the edges' counters: what a live peer has
// is what was added and what came over its edges; what went between two
// live peers adds up to nothing. So what is missing went to the dead or came
// from them. `own`: what a peer's local steps added, where nothing else did.
inline void ExpectAuditHolds(const GossipWorld& world,
                             const std::function<double(int)>& own = nullptr) {
  for (int i = 0; i < world.peers(); ++i) {
    if (world.killed(i)) continue;
    const PeerState& state = world.node(i).state();
    double sum = state.added().sum, omega = state.added().omega;
    if (own) {
      double added = own(i);
      for (const double x : RandomVector(7, i, kElements)) added += x;
      EXPECT_NEAR(sum, added, 1e-10) << "peer " << i;
    }
    for (const auto& [peer, flow] : state.flows()) {
      sum += flow.sum;
      omega += flow.omega;
      if (peer < 0 || world.killed(peer)) continue;
      const auto& theirs = world.node(peer).state().flows();
      const auto back = theirs.find(i);
      const bool doubt = state.doubts().contains(peer) ||
                         world.node(peer).state().doubts().contains(i);
      EXPECT_FALSE(doubt) << i << " and " << peer << " live, and can settle";
      const PeerState::Flow other =
          back == theirs.end() ? PeerState::Flow{} : back->second;
      EXPECT_NEAR(flow.sum + other.sum, 0, 1e-11) << i << " " << peer;
      EXPECT_NEAR(flow.omega + other.omega, 0, 1e-11) << i << " " << peer;
    }
    double has = 0;
    for (const double x : ToVector(state.x())) has += x;
    EXPECT_NEAR(has, sum, 1e-11) << "peer " << i;
    EXPECT_NEAR(state.omega(), omega, 1e-11) << "peer " << i;
  }
}

// All that live took the same exact average last, and none is in doubt about
// it.
inline void ExpectOneAverage(const GossipWorld& world) {
  int64_t taken = 0;
  for (int i = 0; i < world.peers(); ++i) {
    if (world.killed(i)) continue;
    taken = std::max(taken, world.node(i).machine().committed_average());
  }
  for (int i = 0; i < world.peers(); ++i) {
    if (world.killed(i)) continue;
    EXPECT_EQ(world.node(i).machine().committed_average(), taken) << i;
    const auto& doubts = world.node(i).state().doubts();
    const auto doubt = doubts.find(-1);
    if (doubt == doubts.end()) continue;
    EXPECT_NE(doubt->second.round, taken) << i;
  }
}

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_GOSSIP_FAULT_BENCH_H_
