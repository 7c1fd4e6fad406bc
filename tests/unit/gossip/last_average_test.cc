// A peer dies at any step of a run with exact averages, and an epoch without it
// follows: who takes an average takes the same one as all others that live.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/fault_bench.h"

namespace parley {
namespace {

constexpr int kPeers = 4;
constexpr int64_t kRounds = 2;

struct Case {
  const char* name;
  const char* topology;
  AlgorithmOptions algorithm;
  int64_t average_every = 0;
  double epoch_after = 1;  // seconds after the death
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class LastAverageTest : public testing::TestWithParam<Case> {
 protected:
  GossipWorldOptions Options(int64_t rounds, PeerFaults* faults) {
    GossipWorldOptions options =
        BenchOptions(&pool_, MakeSchedule(Kind(GetParam().topology), kPeers),
                     rounds, kElements);
    options.algorithm = GetParam().algorithm;
    options.average_every = GetParam().average_every;
    options.final_average = true;
    options.edge_timeout = absl::Seconds(2);
    options.start_wait = absl::Seconds(30);
    options.epoch_wait = absl::Seconds(60);
    options.faults = faults;
    return options;
  }

  // Kills one end of what happens at `step`, and goes on without it.
  void Run(int64_t rounds, int64_t step, bool from,
           PeerFaults* beside = nullptr) {
    faults_ = std::make_unique<BreakAtStep>(step);
    faults_->beside = beside;
    auto world = GossipWorld::Create(Options(rounds, faults_.get()));
    ASSERT_TRUE(world.ok()) << world.status();
    world_ = *std::move(world);
    faults_->on_break = [this, from](int a, int b) {
      const int victim = from ? a : b;
      world_->world().control()->Post([this, victim] { world_->Kill(victim); });
      world_->world().RunAt(
          world_->world().Now() + absl::Seconds(GetParam().epoch_after),
          [this] { GoOnWithoutTheDead(); });
    };
    ASSERT_OK(world_->Run());
  }
  void ExpectOneModel() {
    std::vector<int> live;
    for (int i = 0; i < kPeers; ++i) {
      if (!world_->killed(i)) live.push_back(i);
    }
    for (const int i : live) {
      const GossipNode& node = world_->node(i);
      EXPECT_GT(node.machine().committed_average(), kRounds) << i;
      EXPECT_EQ(node.state().Model().Hash(),
                world_->node(live[0]).state().Model().Hash())
          << i;
      EXPECT_FALSE(node.state().doubts().contains(-1)) << i;
    }
  }
  void GoOnWithoutTheDead() {
    std::vector<int> left;
    for (int i = 0; i < kPeers; ++i) {
      if (!world_->killed(i) && !world_->done(i)) left.push_back(i);
    }
    if (left.empty()) return;
    ASSERT_OK(world_->ChangeMembership(
        left, ++epoch_, 2,
        MakeSchedule(Kind(GetParam().topology),
                     static_cast<int64_t>(left.size()))));
  }

  InlineExecutor pool_;
  std::unique_ptr<BreakAtStep> faults_;
  std::unique_ptr<GossipWorld> world_;
  int64_t epoch_ = 0;
};

TEST_P(LastAverageTest, AllThatLiveEndWithOneModel) {
  Run(kRounds, 0, false);
  const int64_t steps = faults_->steps();
  ASSERT_GT(steps, 50);
  for (int64_t step = 1; step <= steps; ++step) {
    for (const bool from : {false, true}) {
      SCOPED_TRACE(absl::StrCat("step ", step, " of ", steps, " ", from));
      Run(kRounds, step, from);
      ExpectOneModel();
      if (HasFailure()) return;
    }
  }
}

// The average begins before what became of the edges of the round before it is
// told again; who owes it may be gone when it is over.
TEST_P(LastAverageTest, EdgesMayBeInDoubtBeforeIt) {
  using Faults = BreakInRounds;
  for (const bool up : {true, false}) {
    Faults none(Faults::kDecision, up, 1, kRounds);
    Run(kRounds, 0, false, &none);
    const int64_t steps = faults_->steps();
    for (int64_t step = steps / 2; step <= steps; ++step) {
      SCOPED_TRACE(absl::StrCat("step ", step, " of ", steps, " ", up));
      Faults lost(Faults::kDecision, up, 1, kRounds);
      Run(kRounds, step, step % 2 == 0, &lost);
      ExpectOneModel();
      if (HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, LastAverageTest,
    testing::Values(Case{"ring", "ring", {}},
                    Case{"ring_at_once", "ring", {}, 0, 0.0003},
                    Case{"ring_late", "ring", {}, 0, 9},
                    Case{"push_sum", "ring", {.kind = "push_sum"}},
                    Case{"averages", "ring", {}, 2},
                    Case{"averages_late", "ring", {}, 2, 9}),
    [](const auto& info) { return std::string(info.param.name); });

// Averages alone, without local steps: the first one that is taken is the last
// that changes anything. All that live take it, or none does, so in the end
// their mean is that of all at the begin, or of those that live.
using EveryAverageTest = LastAverageTest;

TEST_P(EveryAverageTest, IsTakenByAllOrByNone) {
  const int64_t rounds = 3;
  Run(rounds, 0, false);
  const int64_t steps = faults_->steps();
  int all_took = 0, none_took = 0;
  for (int64_t step = 1; step <= steps; ++step) {
    SCOPED_TRACE(absl::StrCat("step ", step, " of ", steps));
    Run(rounds, step, step % 2 == 0);
    std::vector<Vector> start, start_of_live, x;
    for (int i = 0; i < kPeers; ++i) {
      start.push_back(RandomVector(7, i, kElements));
      if (world_->killed(i)) continue;
      start_of_live.push_back(start.back());
      x.push_back(ToVector(world_->node(i).state().x()));
    }
    EXPECT_LT(Spread(x), 1e-12);
    const auto is = [&x](const std::vector<Vector>& of) {
      double distance = 0;
      for (int64_t i = 0; i < kElements; ++i) {
        distance += std::abs(MeanOf(x)[i] - MeanOf(of)[i]);
      }
      return distance < 1e-11;
    };
    all_took += is(start);
    none_took += is(start_of_live);
    EXPECT_NE(is(start), is(start_of_live));
    if (HasFailure()) return;
  }
  EXPECT_GT(all_took, 10);
  EXPECT_GT(none_took, 10);
}

INSTANTIATE_TEST_SUITE_P(
    All, EveryAverageTest,
    testing::Values(
        Case{"soon", "ring", {.kind = "exact_average"}},
        Case{"at_once", "ring", {.kind = "exact_average"}, 0, 0.0003},
        Case{"late", "ring", {.kind = "exact_average"}, 0, 9}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace parley
