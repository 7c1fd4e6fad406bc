// What is conserved when links break and peers die, at every step of the
// protocol: Σ over live peers, in flight and written off.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/fault_modes.h"

namespace parley {
namespace {

class FaultsTest : public testing::TestWithParam<FaultMode> {
 protected:
  static bool Audited() { return IsAudited(GetParam().algorithm); }
};

TEST_P(FaultsTest, ALinkMayBreakAtAnyStep) {
  InlineExecutor pool;
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
  InlineExecutor pool;
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
    if (step <= none.last_hello()) {  // else it waits for one never met
      options.start_wait = GossipMachine::kAloneAfter * options.edge_timeout;
    }
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    faults.on_break = [&](int from, int to) {
      const int victim = step % 2 == 0 ? from : to;
      (*world)->world().control()->Post(
          [&world, victim] { (*world)->Kill(victim); });
    };
    ASSERT_OK((*world)->Run());
    if (Audited()) ExpectAuditHolds(**world);
    ExpectOneAverage(**world);
    if (HasFailure()) return;
  }
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

// Choco's peers follow each other by differences. What became of an exchange is
// settled in the next round, in which one end follows and the other one does
// not know whether it does.
TEST(ChocoFaultsTest, ALostDecisionCostsNoFurtherExchange) {
  ThreadPool pool(1);
  BreakInRounds faults(EdgeFaults::kDecision, /*up=*/true, 2, 2);
  GossipWorldOptions options = OptionsOf(kChoco, &pool, 4, 6, &faults);
  std::map<int64_t, int> used, lost;
  options.on_round = [&](int, const GossipRound& round, const PeerState&) {
    used[round.round] += round.used_edges;
    lost[round.round] += round.lost_edges;
  };
  auto world = GossipWorld::Create(std::move(options));
  ASSERT_TRUE(world.ok()) << world.status();
  ASSERT_OK((*world)->Run());
  ExpectConserved(**world);
  EXPECT_EQ(faults.broken(), 4);
  for (int64_t round = 1; round <= 6; ++round) {
    EXPECT_EQ(lost[round], round == 2 ? 4 : 0) << round;
    EXPECT_EQ(used[round] + lost[round], 8) << round;
  }
}

// Each round's partners are drawn, and of so many peers only those of this
// round and the next are linked.
TEST(DrawnFaultsTest, MoreThan64PeersKeepTheSum) {
  ThreadPool pool(2);
  for (const uint64_t seed : {1, 2}) {
    RandomLoss faults(seed, 0.1);
    GossipWorldOptions options = OptionsOf(
        FaultMode{"matching", "random_matching", {}}, &pool, 80, 40, &faults);
    options.schedule = MakeSchedule(Kind("random_matching"), 80, seed);
    options.step_time = [](int peer) {
      return absl::Milliseconds(100 + peer % 7);
    };
    options.edge_timeout = absl::Seconds(2);
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    ASSERT_OK((*world)->Run());
    EXPECT_GT(faults.broken(), 50);
    ExpectConserved(**world);
    ExpectAuditHolds(**world);
    std::vector<Vector> x;
    for (int i = 0; i < 80; ++i) {
      x.push_back(ToVector((*world)->node(i).state().Model()));
    }
    EXPECT_LT(Spread(x), 0.1);  // from about 20
  }
}

INSTANTIATE_TEST_SUITE_P(All, FaultsTest, testing::ValuesIn(kModes),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace parley
