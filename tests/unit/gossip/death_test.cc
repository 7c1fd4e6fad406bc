// A peer dies at any step of a run, and an epoch without it follows, of which
// the others hear one after another: it costs them the time until they have
// heard of it, and never the time that an edge may take. Once a peer is done no
// epoch begins any more: then who waits for the dead does so for
// options.epoch_wait.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/fault_bench.h"

namespace parley {
namespace {

constexpr int kPeers = 4;
constexpr int64_t kRounds = 6;
constexpr absl::Duration kEdgeTimeout = absl::Minutes(10);
constexpr absl::Duration kEpochWait = absl::Minutes(30);
constexpr absl::Duration kEpochAfter = absl::Seconds(2);
// To train, to hear of the epoch and to dial anew, with pauses between tries.
constexpr absl::Duration kMost = absl::Seconds(12);

struct Case {
  const char* name;
  const char* topology;
  AlgorithmOptions algorithm = {};
  int peers = kPeers;
  int64_t average_every = 0;
  // Between one peer's hearing of the epoch and the next one's, in the order of
  // their indices or the other way round.
  absl::Duration apart = absl::ZeroDuration();
  bool backwards = false;
  int late = 0;  // rounds that their reports are behind
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class DeathTest : public testing::TestWithParam<Case> {
 protected:
  void Run(int64_t step, bool from) {
    const Case& c = GetParam();
    faults_ = std::make_unique<BreakAtStep>(step);
    latest_.assign(c.peers, 0);
    GossipWorldOptions options = BenchOptions(
        &pool_, MakeSchedule(Kind(c.topology), c.peers), kRounds, kElements);
    options.algorithm = c.algorithm;
    options.average_every = c.average_every;
    options.final_average = true;
    options.edge_timeout = kEdgeTimeout;
    options.epoch_wait = kEpochWait;
    options.step_time = [](int peer) {
      return absl::Milliseconds(10 + 7 * (peer * 3 % 4));
    };
    options.membership_after = [&c](int peer) {
      return c.apart * (c.backwards ? c.peers - 1 - peer : peer);
    };
    options.on_round = [this](int peer, const GossipRound& round,
                              const PeerState&) {
      latest_[peer] = round.round;
    };
    options.faults = faults_.get();
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    world_ = *std::move(world);
    faults_->on_break = [this, from](int a, int b) { Die(from ? a : b); };
    over_ = false;
    ASSERT_OK(world_->Run());
  }
  void Die(int victim) {
    world_->world().control()->Post([this, victim] { world_->Kill(victim); });
    world_->world().RunAt(world_->world().Now() + kEpochAfter,
                          [this] { GoOn(); });
  }
  // As the rendezvous decides it.
  void GoOn() {
    std::vector<int> live;
    std::vector<int64_t> latest;
    for (int i = 0; i < world_->peers(); ++i) {
      if (world_->killed(i)) continue;
      if (world_->done(i)) {
        over_ = true;
        return;
      }
      live.push_back(i);
      latest.push_back(std::max<int64_t>(0, latest_[i] - GetParam().late));
    }
    if (live.empty()) return;
    std::sort(latest.begin(), latest.end());
    const int64_t middle = latest[(latest.size() - 1) / 2];
    ASSERT_OK(world_->ChangeMembership(
        live, 1, std::min(middle + 1, kRounds + 1),
        MakeSchedule(Kind(GetParam().topology),
                     static_cast<int64_t>(live.size()))));
  }

  InlineExecutor pool_;
  std::vector<int64_t> latest_;  // by peer
  std::unique_ptr<BreakAtStep> faults_;
  std::unique_ptr<GossipWorld> world_;
  bool over_ = false;  // a peer was done before an epoch could begin
};

TEST_P(DeathTest, CostsNobodyAnEdgeTimeout) {
  Run(0, false);
  const int64_t steps = faults_->steps();
  ASSERT_GT(steps, 50);
  int over = 0;
  for (int64_t step = 1; step <= steps; ++step) {
    for (const bool from : {false, true}) {
      SCOPED_TRACE(absl::StrCat("step ", step, " of ", steps, " ", from));
      Run(step, from);
      const absl::Duration took = world_->world().Now() - absl::UnixEpoch();
      EXPECT_LT(took, over_ ? kEpochWait + kMost : kMost);
      over += over_ ? 1 : 0;
      ExpectOneAverage(*world_);
      if (HasFailure()) return;
    }
  }
  EXPECT_LT(over, 60);  // in the average's last messages alone
}

INSTANTIATE_TEST_SUITE_P(
    All, DeathTest,
    testing::Values(Case{.name = "ring", .topology = "ring"},
                    Case{.name = "push_sum",
                         .topology = "ring",
                         .algorithm = {.kind = "push_sum"}},
                    Case{.name = "push_sum_apart",
                         .topology = "ring",
                         .algorithm = {.kind = "push_sum"},
                         .apart = absl::Milliseconds(60)},
                    Case{.name = "push_sum_backwards",
                         .topology = "ring",
                         .algorithm = {.kind = "push_sum"},
                         .apart = absl::Milliseconds(60),
                         .backwards = true},
                    Case{.name = "push_sum_late",
                         .topology = "ring",
                         .algorithm = {.kind = "push_sum"},
                         .apart = absl::Milliseconds(15),
                         .late = 1},
                    Case{.name = "six",
                         .topology = "ring",
                         .algorithm = {.kind = "push_sum"},
                         .peers = 6,
                         .apart = absl::Milliseconds(25)},
                    Case{.name = "ring_apart",
                         .topology = "ring",
                         .apart = absl::Milliseconds(60)},
                    Case{.name = "ring_backwards",
                         .topology = "ring",
                         .apart = absl::Milliseconds(60),
                         .backwards = true},
                    Case{.name = "averages",
                         .topology = "ring",
                         .average_every = 3,
                         .apart = absl::Milliseconds(25)},
                    Case{.name = "averages_late",
                         .topology = "ring",
                         .average_every = 3,
                         .late = 2},
                    Case{.name = "averages_of_push_sum",
                         .topology = "ring",
                         .algorithm = {.kind = "push_sum"},
                         .average_every = 2},
                    Case{.name = "one_peer",
                         .topology = "one_peer_exponential",
                         .apart = absl::Milliseconds(25)}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace parley
