// What is conserved when links break and peers die, at every step of the
// protocol: Σ over live peers, in flight and written off.
#include <gtest/gtest.h>

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
    {"d2", "ring", {.kind = "d2"}},
    {"decent_lam", "ring", {.kind = "decent_lam", .momentum = 0.8}},
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
  TopologyOptions topology = Kind(mode.topology);
  topology.lazy = TraitsOf(mode.algorithm).lazy;
  GossipWorldOptions options =
      BenchOptions(pool, MakeSchedule(topology, peers), rounds, kElements);
  options.algorithm = mode.algorithm;
  options.average_every = mode.average_every;
  options.faults = faults;
  return options;
}

class FaultsTest : public testing::TestWithParam<Mode> {
 protected:
  // Whether edges alone change x.
  static bool Audited() {
    const std::string& kind = GetParam().algorithm.kind;
    return kind != "gradient_tracking" && kind != "d2" && kind != "decent_lam";
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

// Each round's partners are drawn, and of so many peers only those of this
// round and the next are linked.
TEST(DrawnFaultsTest, MoreThan64PeersKeepTheSum) {
  ThreadPool pool(2);
  for (const uint64_t seed : {1, 2}) {
    RandomLoss faults(seed, 0.1);
    GossipWorldOptions options =
        OptionsOf({"matching", "random_matching", {}}, &pool, 80, 40, &faults);
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
