// What is conserved when links break and peers die, at every step of the
// protocol: Σ over live peers, in flight and written off.
#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/gossip_bench.h"

namespace parley {
namespace {

constexpr int64_t kElements = 5;

TopologyOptions Kind(std::string kind) {
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
  bool BreaksAt(int from, int to, const v1::PeerMessage&) override {
    return Count(from, to) && !on_break;
  }
  std::optional<int64_t> BreaksPayloadAfter(int from, int to,
                                            const v1::PeerBegin&) override {
    if (!Count(from, to) || on_break) return std::nullopt;
    return chunks_;
  }
  int64_t steps() const { return count_; }

  // Instead of breaking the link.
  std::function<void(int from, int to)> on_break;

 private:
  bool Count(int from, int to) {
    if (++count_ != step_) return false;
    if (on_break) on_break(from, to);
    return true;
  }
  const int64_t step_;
  const int64_t chunks_;
  int64_t count_ = 0;
};

// Each edge and round loses its link once with some probability, at a place
// that is drawn, too.
class RandomLoss final : public PeerFaults {
 public:
  RandomLoss(uint64_t seed, double loss) : seed_(seed), loss_(loss) {}
  bool BreaksAt(int from, int to, const v1::PeerMessage& message) override {
    switch (message.kind_case()) {
      case v1::PeerMessage::kReady:
        return Breaks(from, to, message.ready().step(), 0);
      case v1::PeerMessage::kReceived:
        return Breaks(from, to, message.received().step(), 1);
      case v1::PeerMessage::kDecision:
        return Breaks(from, to, message.decision().step(), 2);
      default:
        return false;
    }
  }
  std::optional<int64_t> BreaksPayloadAfter(
      int from, int to, const v1::PeerBegin& begin) override {
    if (!Breaks(from, to, begin.step(), 3)) return std::nullopt;
    return 0;
  }
  int64_t broken() const { return broken_; }

 private:
  bool Breaks(int from, int to, const v1::PeerStep& step, int place) {
    if (step.use() == v1::AVERAGE) return false;
    Rng rng(seed_, absl::StrCat(std::min(from, to), "-", std::max(from, to)),
            step.round(), "loss");
    const bool lost =
        rng.Uniform() < loss_ && static_cast<int>(rng.Below(4)) == place;
    broken_ += lost ? 1 : 0;
    return lost;
  }
  const uint64_t seed_;
  const double loss_;
  int64_t broken_ = 0;
};

struct Sums {
  Vector x;
  double omega = 0;
};

void Add(double factor, const Vector& v, Vector* to) {
  for (size_t i = 0; i < v.size(); ++i) (*to)[i] += factor * v[i];
}

int64_t CommittedWith(const GossipNode& node, int peer) {
  return node.pairwise() != nullptr ? node.pairwise()->committed(peer)
                                    : node.machine().committed(peer);
}

// Over all peers, and what is in flight between them, as one who sees both ends
// knows it.
Sums SumUp(const GossipWorld& world) {
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

void ExpectConserved(const GossipWorld& world, double tolerance = 1e-11) {
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
// is what it began with and what came over its edges; what went between two
// live peers adds up to nothing. So what is missing went to the dead or came
// from them.
void ExpectAuditHolds(const GossipWorld& world) {
  for (int i = 0; i < world.peers(); ++i) {
    if (world.killed(i)) continue;
    const PeerState& state = world.node(i).state();
    double sum = 0, omega = 1;
    for (const double x : RandomVector(7, i, kElements)) sum += x;
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

struct Mode {
  const char* name;
  const char* topology;
  AlgorithmOptions algorithm;
  int64_t average_every = 0;
};

void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }

const Mode kModes[] = {
    {"ring", "ring", {}},
    {"star", "star", {.combine = true}},
    {"push_sum_on_ring", "ring", {.kind = "push_sum"}},
    {"one_peer", "one_peer_exponential", {}},
    {"static_exponential", "static_exponential", {.kind = "push_sum"}},
    {"matching", "random_matching", {}},
    {"tracking", "ring", {.kind = "gradient_tracking"}},
    {"averages", "ring", {}, 2},
    {"pairs_on_ring", "ring", {.kind = "ad_psgd"}},
    {"pairs_on_star", "star", {.kind = "ad_psgd"}},
    {"pairs_of_all", "complete", {.kind = "ad_psgd"}},
    {"choco",
     "ring",
     {.kind = "choco",
      .compressor = "top",
      .share = 0.5,
      .consensus_step = 0.5}},
};

GossipWorldOptions OptionsOf(const Mode& mode, Executor* pool, int64_t peers,
                             int64_t rounds, PeerFaults* faults) {
  GossipWorldOptions options = BenchOptions(
      pool, MakeSchedule(Kind(mode.topology), peers), rounds, kElements);
  options.algorithm = mode.algorithm;
  options.average_every = mode.average_every;
  options.faults = faults;
  return options;
}

class FaultsTest : public testing::TestWithParam<Mode> {
 protected:
  // Whether edges alone change x.
  static bool Audited() {
    return GetParam().average_every == 0 &&
           GetParam().algorithm.kind != "gradient_tracking";
  }
};

TEST_P(FaultsTest, ALinkMayBreakAtAnyStep) {
  ThreadPool pool(1);
  BreakAtStep none(0);
  {
    auto world = GossipWorld::Create(OptionsOf(GetParam(), &pool, 4, 5, &none));
    ASSERT_TRUE(world.ok()) << world.status();
    ASSERT_OK((*world)->Run());
    ExpectConserved(**world);
  }
  ASSERT_GT(none.steps(), 50);
  for (int64_t step = 1; step <= none.steps(); ++step) {
    SCOPED_TRACE(absl::StrCat("step ", step, " of ", none.steps()));
    BreakAtStep faults(step, step % 2);
    auto world =
        GossipWorld::Create(OptionsOf(GetParam(), &pool, 4, 5, &faults));
    ASSERT_TRUE(world.ok()) << world.status();
    ASSERT_OK((*world)->Run());
    ExpectConserved(**world);
    for (int i = 0; i < 4; ++i) {
      EXPECT_TRUE((*world)->node(i).state().doubts().empty()) << i;
    }
    if (HasFailure()) return;
  }
}

TEST_P(FaultsTest, APeerMayDieAtAnyStep) {
  ThreadPool pool(1);
  BreakAtStep none(0);
  {
    auto world = GossipWorld::Create(OptionsOf(GetParam(), &pool, 4, 5, &none));
    ASSERT_TRUE(world.ok()) << world.status();
    ASSERT_OK((*world)->Run());
  }
  for (int64_t step = 1; step <= none.steps(); ++step) {
    SCOPED_TRACE(absl::StrCat("step ", step, " of ", none.steps()));
    BreakAtStep faults(step);
    GossipWorldOptions options = OptionsOf(GetParam(), &pool, 4, 5, &faults);
    options.start_wait = absl::Seconds(30);
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    faults.on_break = [&](int from, int to) {
      const int victim = step % 2 == 0 ? from : to;
      (*world)->world().control()->Post(
          [&world, victim] { (*world)->Kill(victim); });
    };
    ASSERT_OK((*world)->Run());
    if (Audited()) ExpectAuditHolds(**world);
    if (HasFailure()) return;
  }
}

TEST_P(FaultsTest, FivePercentOfTheEdgesMayBeLost) {
  ThreadPool pool(2);
  RandomLoss faults(5, 0.05);
  auto world =
      GossipWorld::Create(OptionsOf(GetParam(), &pool, 16, 60, &faults));
  ASSERT_TRUE(world.ok()) << world.status();
  ASSERT_OK((*world)->Run());
  EXPECT_GT(faults.broken(), 5);
  ExpectConserved(**world);
  if (Audited()) ExpectAuditHolds(**world);
}

// Two peers are cut off for a while and come back with what they have.
TEST_P(FaultsTest, PeersMayBeCutOffAndComeBack) {
  ThreadPool pool(2);
  RandomLoss faults(6, 0.02);
  GossipWorldOptions options = OptionsOf(GetParam(), &pool, 8, 300, &faults);
  options.step_time = [](int peer) {
    return absl::Milliseconds(100 + 10 * peer);
  };
  options.edge_timeout = absl::Seconds(1);
  auto made = GossipWorld::Create(std::move(options));
  ASSERT_TRUE(made.ok()) << made.status();
  GossipWorld& world = **made;
  const auto at = [&](double seconds, int peer, bool cut) {
    world.world().RunAt(
        absl::UnixEpoch() + absl::Seconds(seconds),
        [&world, peer, cut] { world.network().CutOff(peer, cut); });
  };
  at(3.003, 2, true);
  at(4.507, 5, true);
  at(9.011, 2, false);
  at(12.013, 5, false);
  at(14.017, 3, true);
  at(14.501, 3, false);
  ASSERT_OK(world.Run());
  ExpectConserved(world);
  std::vector<Vector> x;
  for (int i = 0; i < 8; ++i) {
    x.push_back(ToVector(world.node(i).state().Model()));
  }
  EXPECT_LT(Spread(x), 0.5);  // from about 6
}

INSTANTIATE_TEST_SUITE_P(All, FaultsTest, testing::ValuesIn(kModes),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace parley
