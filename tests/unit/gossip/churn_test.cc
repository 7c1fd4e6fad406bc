// One peer leaves, one joins, one dies: what each algorithm comes to after that
// is what those that are left would come to alone.
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
  double spread = 1e-6;  // that its constant steps leave
  int64_t average_every = 0;
};
void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }

// Peer j pulls to c_j: the mean of those that there are is the minimum of their
// summed losses.
Vector Centre(int peer) { return RandomVector(19, peer, kElements); }

class ChurnTest : public testing::TestWithParam<Mode> {
 protected:
  std::shared_ptr<const Schedule> ScheduleOf(int64_t peers) {
    TopologyOptions topology = Kind(GetParam().topology);
    topology.lazy = TraitsOf(GetParam().algorithm).lazy;
    return MakeSchedule(topology, peers);
  }
  void Make(int64_t rounds, PeerDelta delta) {
    GossipWorldOptions options = BenchOptions(&pool_, ScheduleOf(6), rounds,
                                              kElements, std::move(delta));
    options.algorithm = GetParam().algorithm;
    options.average_every = GetParam().average_every;
    options.most_peers = 7;
    options.step_time = [](int peer) {
      return absl::Milliseconds(100 + 7 * peer);
    };
    options.edge_timeout = absl::Seconds(2);
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    world_ = *std::move(world);
  }
  void At(double seconds, std::function<void()> f) {
    world_->world().RunAt(
        absl::UnixEpoch() + absl::Seconds(seconds) + absl::Nanoseconds(123),
        [f = std::move(f)] { f(); });
  }
  void Change(double seconds, std::vector<int> members, int64_t epoch,
              int64_t rounds = 3) {
    At(seconds, [=, this] {
      ASSERT_OK(world_->ChangeMembership(
          members, epoch, world_->node(0).machine().round() + rounds,
          ScheduleOf(static_cast<int64_t>(members.size()))));
    });
  }

  InlineExecutor pool_;
  std::unique_ptr<GossipWorld> world_;
};

TEST_P(ChurnTest, ThoseThatAreLeftReachTheirOwnMinimum) {
  Make(500, [](int peer, int64_t, const Vector& at) {
    Vector delta = Centre(peer);
    for (size_t i = 0; i < delta.size(); ++i) {
      delta[i] = 0.05 * (delta[i] - at[i]);
    }
    return delta;
  });
  At(3, [this] { world_->Leave(1); });
  Change(5, {0, 2, 3, 4, 5}, 1);
  Change(8, {0, 2, 3, 4, 5, 6}, 2);
  At(11, [this] { world_->Kill(4); });
  const std::vector<int> left = {0, 2, 3, 5, 6};
  Change(14, left, 3);
  ASSERT_OK(world_->Run());
  EXPECT_TRUE(world_->node(1).machine().left());
  std::vector<Vector> x, centres;
  for (const int peer : left) {
    const GossipNode& node = world_->node(peer);
    EXPECT_EQ(node.machine().epoch(), 3);
    EXPECT_TRUE(node.state().doubts().empty());
    x.push_back(ToVector(node.state().Model()));
    centres.push_back(Centre(peer));
  }
  for (int64_t i = 0; i < kElements; ++i) {
    EXPECT_NEAR(MeanOf(x)[i], MeanOf(centres)[i], 1e-4) << i;
  }
  EXPECT_LT(Spread(x), GetParam().spread);
}

INSTANTIATE_TEST_SUITE_P(
    All, ChurnTest,
    testing::Values(
        Mode{"adapt_while_communicating", "ring", {}, 0.6},
        Mode{"adapt_then_combine", "ring", {.combine = true}, 0.6},
        Mode{"momentum", "ring", {.combine = true, .momentum = 0.5}, 1.2},
        Mode{
            "decent_lam", "ring", {.kind = "decent_lam", .momentum = 0.5}, 0.6},
        Mode{"tracking", "ring", {.kind = "gradient_tracking"}},
        Mode{"d2", "ring", {.kind = "d2"}},
        Mode{"choco",
             "ring",
             {.kind = "choco",
              .compressor = "top",
              .share = 0.5,
              .consensus_step = 0.5},
             1.2},
        Mode{"push_sum", "ring", {.kind = "push_sum"}, 0.6},
        Mode{"one_peer", "one_peer_exponential", {}, 0.6},
        Mode{"exact_average", "ring", {.kind = "exact_average"}, 1e-9},
        Mode{"gossip_pga", "ring", {}, 0.6, 4}),
    [](const auto& info) { return std::string(info.param.name); });

// Of flows nothing is lost where nobody dies: Σx and Σω are those of the start,
// whoever comes and goes.
class FlowChurnTest : public ChurnTest {
 protected:
  // Runs; peer 1 leaves, peer 6 joins.
  void ExpectSumsAreKept() {
    ASSERT_OK(world_->Run());
    EXPECT_EQ(world_->node(1).state().omega(), 0);
    EXPECT_GT(world_->node(6).state().omega(), 0.1);
    double omega = 0;
    Vector sum(kElements, 0.0), start(kElements, 0.0);
    for (int peer = 0; peer < 7; ++peer) {
      const PeerState& state = world_->node(peer).state();
      omega += state.omega();
      Add(1, ToVector(state.x()), &sum);
      if (peer < 6) Add(1, RandomVector(7, peer, kElements), &start);
    }
    EXPECT_NEAR(omega, 6, 1e-12);
    for (int64_t i = 0; i < kElements; ++i) {
      EXPECT_NEAR(sum[i], start[i], 1e-11);
    }
  }
};

TEST_P(FlowChurnTest, KeepsTheSums) {
  Make(150, nullptr);
  At(3, [this] { world_->Leave(1); });
  Change(5, {0, 2, 3, 4, 5}, 1);
  Change(8, {0, 2, 3, 4, 5, 6}, 2);
  ExpectSumsAreKept();
}

// An epoch with the next one of a rolling replacement begins before it is gone.
TEST_P(FlowChurnTest, KeepsTheSumsOfOneThatLeavesAsAnEpochBegins) {
  for (const int64_t rounds : {0, 1, 2}) {
    SCOPED_TRACE(rounds);
    Make(150, nullptr);
    At(3, [this] { world_->Leave(1); });
    Change(3.01, {0, 1, 2, 3, 4, 5, 6}, 1, rounds);
    Change(6, {0, 2, 3, 4, 5, 6}, 2);
    ExpectSumsAreKept();
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, FlowChurnTest,
    testing::Values(Mode{"push_sum", "ring", {.kind = "push_sum"}},
                    Mode{"one_peer", "one_peer_exponential", {}},
                    Mode{"static_exponential", "static_exponential", {}}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace parley
