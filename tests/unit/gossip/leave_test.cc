// Peers that leave in an orderly way, and peers of a list that stays that are
// started anew.
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/fault_bench.h"

namespace parley {
namespace {

struct Mode {
  const char* name;
  const char* topology;
  AlgorithmOptions algorithm;
};
void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }

class LeaveTest : public testing::TestWithParam<Mode> {
 protected:
  void Make(int64_t peers, int64_t rounds, PeerFaults* faults = nullptr,
            PeerDelta delta = nullptr) {
    GossipWorldOptions options =
        BenchOptions(&pool_, MakeSchedule(Kind(GetParam().topology), peers),
                     rounds, kElements, std::move(delta));
    options.algorithm = GetParam().algorithm;
    options.step_time = [](int peer) {
      return absl::Milliseconds(100 + 7 * peer);
    };
    options.edge_timeout = absl::Seconds(2);
    options.start_wait = absl::Seconds(30);
    options.faults = faults;
    options.start = [this](int peer) {
      ++starts_;
      return ToParameters(RandomVector(7, peer, kElements));
    };
    options.on_round = [this](int peer, const GossipRound& round,
                              const PeerState&) {
      used_[peer] += round.used_edges;
    };
    used_.clear();
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    world_ = *std::move(world);
  }
  void At(double seconds, std::function<void()> f) {
    world_->world().RunAt(
        absl::UnixEpoch() + absl::Seconds(seconds) + absl::Nanoseconds(123),
        [f = std::move(f)] { f(); });
  }

  ThreadPool pool_{2};
  int starts_ = 0;
  std::map<int, int> used_;  // edges, by peer
  std::unique_ptr<GossipWorld> world_;
};

using LeaveFlowTest = LeaveTest;

TEST_P(LeaveFlowTest, HandsAllOver) {
  Make(8, 40);
  At(1.5, [this] { world_->Leave(3); });
  ASSERT_OK(world_->Run());
  const GossipNode& gone = world_->node(3);
  EXPECT_TRUE(gone.machine().left());
  EXPECT_LT(gone.machine().round(), 25);
  EXPECT_EQ(gone.state().omega(), 0);
  EXPECT_EQ(ToVector(gone.state().x()), Vector(kElements, 0.0));
  EXPECT_TRUE(gone.state().doubts().empty());
  ExpectConserved(*world_);
  for (const int peer : {0, 1, 2, 4, 5, 6, 7}) {
    EXPECT_FALSE(world_->node(peer).machine().left());
    EXPECT_EQ(world_->node(peer).machine().round(), 41);
  }
}

// Local steps do not stay behind either.
TEST_P(LeaveFlowTest, HandsAllOverWhileItTrains) {
  Make(8, 40, nullptr, [](int peer, int64_t, const Vector& at) {
    Vector delta = at;
    for (double& d : delta) d = 0.1 * (peer - d);
    return delta;
  });
  At(1.5, [this] { world_->Leave(3); });
  ASSERT_OK(world_->Run());
  EXPECT_TRUE(world_->node(3).machine().left());
  EXPECT_EQ(world_->node(3).state().omega(), 0);
  EXPECT_EQ(ToVector(world_->node(3).state().x()), Vector(kElements, 0.0));
  EXPECT_NEAR(SumUp(*world_).omega, 8, 1e-12);
}

// What does not get over it keeps; both ends agree on what did.
TEST_P(LeaveFlowTest, ALinkMayBreakAtAnyStepOfIt) {
  const auto run = [this](int64_t step) {
    BreakAtStep faults(step, step % 2);
    Make(4, 8, &faults);
    At(0.05, [this] { world_->Leave(2); });
    EXPECT_OK(world_->Run());
    EXPECT_TRUE(world_->node(2).machine().left());
    ExpectConserved(*world_);
    return faults.steps();
  };
  const int64_t steps = run(0);
  ASSERT_GT(steps, 50);
  for (int64_t step = 1; step <= steps; ++step) {
    SCOPED_TRACE(absl::StrCat("step ", step, " of ", steps));
    run(step);
    if (HasFailure()) return;
  }
}

const Mode kFlowModes[] = {
    {"push_sum_on_ring", "ring", {.kind = "push_sum"}},
    {"one_peer", "one_peer_exponential", {}},
    {"momentum", "one_peer_exponential", {.momentum = 0.9}},
    {"static_exponential", "static_exponential", {.kind = "push_sum"}}};
std::string NameOf(const testing::TestParamInfo<Mode>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(All, LeaveFlowTest, testing::ValuesIn(kFlowModes),
                         NameOf);

using LeaveExchangeTest = LeaveTest;

// What it has mixed in stays: Σ over all, with what it takes along.
TEST_P(LeaveExchangeTest, GoesAfterOneMoreRound) {
  Make(8, 40);
  At(1.5, [this] { world_->Leave(3); });
  ASSERT_OK(world_->Run());
  const GossipNode& gone = world_->node(3);
  EXPECT_TRUE(gone.machine().left());
  EXPECT_LT(gone.machine().round(), 25);
  EXPECT_GT(gone.machine().used_edges(), 0);
  EXPECT_TRUE(gone.state().doubts().empty());
  ExpectConserved(*world_);
}

INSTANTIATE_TEST_SUITE_P(
    All, LeaveExchangeTest,
    testing::Values(Mode{"ring", "ring", {}},
                    Mode{"matching", "random_matching", {}}),
    NameOf);

// ------------------------------------------------------------- started anew

using RestartTest = LeaveTest;

// Its start model is far from where the others are by then: nothing of it may
// get in.
TEST_P(RestartTest, ComesInAsOneThatJoins) {
  Make(6, 150);
  At(1.05, [this] { world_->Kill(2); });
  At(4, [this] {
    used_[2] = 0;
    ASSERT_OK(world_->Restart(2));
  });
  Vector mean;
  At(3.9, [&] {
    std::vector<Vector> x;
    for (const int peer : {0, 1, 3, 4, 5}) {
      x.push_back(ToVector(world_->node(peer).state().Model()));
    }
    mean = MeanOf(x);
  });
  ASSERT_OK(world_->Run());
  ASSERT_EQ(mean.size(), kElements);
  EXPECT_EQ(starts_, 7);
  const GossipNode& anew = world_->node(2);
  EXPECT_EQ(anew.machine().round(), 151);
  EXPECT_GT(used_[2], 20);
  double omega = 0;
  std::vector<Vector> x;
  for (int peer = 0; peer < 6; ++peer) {
    EXPECT_TRUE(world_->node(peer).state().doubts().empty());
    omega += world_->node(peer).state().omega();
    x.push_back(ToVector(world_->node(peer).state().Model()));
  }
  EXPECT_LT(Spread(x), 1e-3);
  const bool flows = anew.state().omega() != 1;
  if (!flows) {
    EXPECT_EQ(omega, 6);
    return;
  }
  // What the earlier one had is gone, and this one brought nothing.
  EXPECT_LT(omega, 5.5);
  EXPECT_GT(omega, 3);
  for (int64_t i = 0; i < kElements; ++i) {
    EXPECT_NEAR(MeanOf(x)[i], mean[i], 0.3);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, RestartTest,
    testing::Values(
        Mode{"ring", "ring", {}}, Mode{"matching", "random_matching", {}},
        Mode{"choco", "ring", {.kind = "choco", .compressor = "int8"}},
        Mode{"tracking", "ring", {.kind = "gradient_tracking"}},
        Mode{"push_sum", "ring", {.kind = "push_sum"}},
        Mode{"one_peer", "one_peer_exponential", {}}),
    NameOf);

}  // namespace
}  // namespace parley
