// What a change of the membership costs in time: from when all have heard of
// it, no peer is held up for longer than about a round, however others come and
// go. Until then an edge may take ten minutes.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/inline_executor.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/fault_bench.h"

namespace parley {
namespace {

constexpr int kPeers = 8;
constexpr int kJoins = 8;
constexpr int kGoes = 3;
constexpr int64_t kRounds = 16;
constexpr absl::Duration kRound = absl::Milliseconds(400);
// Between two tries to dial a peer that has not changed its epoch yet.
constexpr absl::Duration kPause = absl::Milliseconds(200);

struct Mode {
  const char* name;
  const char* topology;
  AlgorithmOptions algorithm = {};
  absl::Duration apart = absl::ZeroDuration();  // see Make
  int64_t average_every = 0;
};
void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }

class EpochTimeTest : public testing::TestWithParam<Mode> {
 protected:
  // Peers hear of an epoch one after the other, in another order than that of
  // their indices.
  void Make() {
    ends_.clear();
    GossipWorldOptions options =
        BenchOptions(&pool_, MakeSchedule(Kind(GetParam().topology), kPeers),
                     kRounds, kElements);
    options.algorithm = GetParam().algorithm;
    options.average_every = GetParam().average_every;
    options.most_peers = kPeers + 1;
    options.step_time = [](int peer) {
      return kRound - absl::Milliseconds(4 * peer);
    };
    options.edge_timeout = absl::Minutes(10);
    options.membership_after = [](int peer) {
      return GetParam().apart * (peer * 5 % kPeers);
    };
    options.on_round = [this](int peer, const GossipRound&, const PeerState&) {
      ends_[peer].push_back(world_->world().Now());
    };
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    world_ = *std::move(world);
  }
  void At(absl::Duration when, std::function<void()> f) {
    world_->world().RunAt(absl::UnixEpoch() + when + absl::Nanoseconds(123),
                          [f = std::move(f)] { f(); });
  }
  void Change(absl::Duration when, std::vector<int> members) {
    heard_ = absl::UnixEpoch() + when + GetParam().apart * (kPeers - 1);
    At(when, [=, this] {
      ASSERT_OK(world_->ChangeMembership(
          members, 1, world_->node(0).machine().round() + 2,
          MakeSchedule(Kind(GetParam().topology),
                       static_cast<int64_t>(members.size()))));
    });
  }
  // Of rounds after all have heard, and what was left of those under way. Who
  // joins waits for the epoch's first round, the second that comes.
  void ExpectNoneWasHeldUp() {
    for (const auto& [peer, ends] : ends_) {
      absl::Time begin = absl::UnixEpoch();
      int most = peer == kJoins ? 4 : 2;
      for (const absl::Time end : ends) {
        EXPECT_LT(end - std::max(begin, heard_), most * kRound + kPause)
            << "peer " << peer << ", round from " << begin << " to " << end
            << ", heard at " << heard_;
        begin = end;
        most = 2;
      }
      if (peer != kGoes) {
        EXPECT_GT(begin, heard_ + 5 * kRound) << peer;
      }
    }
  }
  // Changes at any time of a round.
  template <typename F>
  void AtAnyTime(F run) {
    for (int i = 0; i < 8; ++i) {
      const absl::Duration when = 4 * kRound + i * kRound / 8;
      SCOPED_TRACE(absl::StrCat("at ", absl::FormatDuration(when)));
      Make();
      run(when);
      ASSERT_OK(world_->Run());
      ExpectNoneWasHeldUp();
      if (HasFailure()) return;
    }
  }

  InlineExecutor pool_;
  absl::Time heard_;                             // by all
  std::map<int, std::vector<absl::Time>> ends_;  // of rounds, by peer
  std::unique_ptr<GossipWorld> world_;
};

TEST_P(EpochTimeTest, APeerJoins) {
  AtAnyTime([this](absl::Duration when) {
    Change(when, {0, 1, 2, 3, 4, 5, 6, 7, kJoins});
  });
  EXPECT_TRUE(ends_.contains(kJoins));
}

TEST_P(EpochTimeTest, APeerDies) {
  AtAnyTime([this](absl::Duration when) {
    At(when, [this] { world_->Kill(kGoes); });
    Change(when + 3 * kRound, {0, 1, 2, 4, 5, 6, 7});
  });
}

TEST_P(EpochTimeTest, APeerLeaves) {
  AtAnyTime([this](absl::Duration when) {
    At(when, [this] { world_->Leave(kGoes); });
    Change(when + 2 * kRound, {0, 1, 2, 4, 5, 6, 7});
  });
  EXPECT_TRUE(world_->node(kGoes).machine().left());
}

constexpr absl::Duration kSoon = absl::Milliseconds(10);
constexpr absl::Duration kLate = absl::Milliseconds(90);  // the last: 630 ms

INSTANTIATE_TEST_SUITE_P(
    All, EpochTimeTest,
    testing::Values(Mode{"ring", "ring"}, Mode{"ring_soon", "ring", {}, kSoon},
                    Mode{"ring_late", "ring", {}, kLate},
                    Mode{"push_sum", "ring", {.kind = "push_sum"}},
                    Mode{"push_sum_soon", "ring", {.kind = "push_sum"}, kSoon},
                    Mode{"push_sum_late", "ring", {.kind = "push_sum"}, kLate},
                    Mode{"one_peer", "one_peer_exponential"},
                    Mode{"one_peer_soon", "one_peer_exponential", {}, kSoon},
                    Mode{"one_peer_late", "one_peer_exponential", {}, kLate},
                    Mode{"averages", "ring", {}, kSoon, 3}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace parley
