// How the peers of a list that stays begin: for whom they wait, and what they
// say of it. All at the timeouts that a run file has by default.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/fault_bench.h"

namespace parley {
namespace {

constexpr int kPeers = 5;

struct Mode {
  const char* name;
  const char* topology;
  AlgorithmOptions algorithm;
};
void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }

class StartTest : public testing::TestWithParam<Mode> {
 protected:
  void Make() {
    GossipWorldOptions options =
        BenchOptions(&pool_, MakeSchedule(Kind(GetParam().topology), kPeers),
                     /*rounds=*/20, kElements);
    options.algorithm = GetParam().algorithm;
    options.limit = absl::Hours(1);
    options.log = [this](int peer, LogLevel, absl::string_view text) {
      if (absl::StartsWith(text, "waits for ")) waits_[peer].emplace_back(text);
    };
    options.on_round = [this](int peer, const GossipRound&, const PeerState&) {
      begun_.emplace(peer, world_->world().Now());
    };
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    world_ = *std::move(world);
  }
  void At(absl::Duration d, std::function<void()> f) {
    world_->world().RunAt(absl::UnixEpoch() + d, [f = std::move(f)] { f(); });
  }
  // A process that is started later than the others.
  void Comes(int peer, absl::Duration after) {
    world_->network().CutOff(peer, true);
    At(after, [this, peer] { world_->network().CutOff(peer, false); });
  }

  void ExpectTheOthersFinish() {
    ASSERT_OK(world_->Run());
    for (const int peer : {0, 1, 3, 4}) EXPECT_TRUE(begun_.contains(peer));
    EXPECT_LT(world_->world().Now(), absl::UnixEpoch() + absl::Minutes(15));
  }

  ThreadPool pool_{2};
  std::map<int, std::vector<std::string>> waits_;
  std::map<int, absl::Time> begun_;  // ended its first round
  std::unique_ptr<GossipWorld> world_;
};

// People start them by hand, minutes apart.
TEST_P(StartTest, OneThatIsStartedLateIsWaitedForAndNamed) {
  Make();
  Comes(4, absl::Minutes(10));
  ASSERT_OK(world_->Run());
  ASSERT_EQ(begun_.size(), kPeers);
  for (const auto& [peer, at] : begun_) {
    EXPECT_GE(at, absl::UnixEpoch() + absl::Minutes(10)) << peer;
  }
  for (const int peer : {0, 3}) {  // its neighbours on a ring
    ASSERT_GE(waits_[peer].size(), 59) << peer;
    EXPECT_TRUE(absl::EndsWith(waits_[peer].back(), " neighbours: peer-4"))
        << waits_[peer].back();
  }
}

TEST_P(StartTest, OneThatDiedBeforeAllHadMetHoldsNobodyUp) {
  Make();
  Comes(4, absl::Seconds(90));
  At(absl::Minutes(1), [this] { world_->Kill(2); });
  ExpectTheOthersFinish();
}

// Its neighbour hears from others that it need not wait.
TEST_P(StartTest, NorDoesOneThatANeighbourHasNeverMet) {
  Make();
  Comes(3, absl::Seconds(90));
  At(absl::Minutes(1), [this] { world_->Kill(2); });
  ExpectTheOthersFinish();
}

INSTANTIATE_TEST_SUITE_P(
    All, StartTest,
    testing::Values(Mode{"ring", "ring", {}},
                    Mode{"matching", "random_matching", {}},
                    Mode{"push_sum", "ring", {.kind = "push_sum"}},
                    Mode{"averages", "ring", {.kind = "exact_average"}},
                    Mode{"pairs", "complete", {.kind = "ad_psgd"}}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace parley
