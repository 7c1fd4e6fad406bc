// What is conserved when all happens at once: links break, a peer dies, an
// epoch goes on without it, and another peer joins. Σ over live peers, in doubt
// and written off, from the peers' numbers alone: their own counters of edges
// are not asked.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "tests/support/inline_executor.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/fault_bench.h"

namespace parley {
namespace {

constexpr int kPeers = 8;
constexpr int kDead = 7;   // the last, so that the others' indices stay
constexpr int kJoins = 8;  // as index 7
constexpr int64_t kRounds = 60;
constexpr int64_t kNumbers = kElements + 1;

struct Mode {
  const char* name;
  const char* topology;
  AlgorithmOptions algorithm = {};
};
void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }

// The last number goes with ω: it is 1 where that is.
Vector StartOf(int peer) {
  Vector start = RandomVector(7, peer, kElements);
  start.push_back(1);
  return start;
}

double Largest(const Vector& v) {
  double largest = 0;
  for (const double x : v) largest = std::max(largest, std::abs(x));
  return largest;
}

class ConservationTest : public testing::TestWithParam<Mode> {
 protected:
  // Of one thing that may have happened or not, what it changes of the sum.
  using Choices = std::vector<Vector>;

  bool flows() const {
    return GetParam().topology != std::string("ring") ||
           GetParam().algorithm.kind == "push_sum";
  }

  void Run(absl::Duration dies) {
    sent_.clear();
    copy_.reset();
    world_.reset();  // asks the faults
    schedule_ = MakeSchedule(Kind(GetParam().topology), kPeers);
    GossipWorldOptions options =
        BenchOptions(&pool_, schedule_, kRounds, kNumbers,
                     [this](int peer, int64_t, const Vector& at) {
                       if (peer == kJoins && !copy_) copy_ = at;
                       return Vector(kNumbers, 0.0);
                     });
    options.start = [](int peer) { return ToParameters(StartOf(peer)); };
    options.algorithm = GetParam().algorithm;
    options.most_peers = kPeers + 1;
    options.step_time = [](int peer) {
      return absl::Milliseconds(100 + 7 * peer);
    };
    options.edge_timeout = absl::Seconds(2);
    options.faults = &faults_.emplace(5, 0.05);
    options.on_round = [this](int peer, const GossipRound& round,
                              const PeerState& state) {
      sent_[{peer, round.round}] = ToVector(state.sent());
      if (flows()) {
        EXPECT_NEAR(ToVector(state.x())[kElements], state.omega(), 1e-12);
      } else {
        EXPECT_EQ(state.omega(), 1);
      }
    };
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    world_ = *std::move(world);
    At(dies, [this] { world_->Kill(kDead); });
    Change(dies + absl::Seconds(1), {0, 1, 2, 3, 4, 5, 6}, 1);
    Change(dies + absl::Seconds(3), members_, 2);
    ASSERT_OK(world_->Run());
  }
  void At(absl::Duration when, std::function<void()> f) {
    world_->world().RunAt(absl::UnixEpoch() + when + absl::Nanoseconds(123),
                          [f = std::move(f)] { f(); });
  }
  void Change(absl::Duration when, std::vector<int> members, int64_t epoch) {
    At(when, [=, this] {
      ASSERT_OK(world_->ChangeMembership(
          members, epoch, world_->node(0).machine().round() + 2,
          MakeSchedule(Kind(GetParam().topology),
                       static_cast<int64_t>(members.size()))));
    });
  }

  // Of those that live in the end, and what they are in doubt about.
  Vector SumOfTheLiving() const {
    Vector sum(kNumbers, 0.0);
    for (size_t i = 0; i < members_.size(); ++i) {
      const PeerState& state = world_->node(members_[i]).state();
      Add(1, ToVector(state.x()), &sum);
      for (const auto& [peer, kept] : state.doubts()) {
        const GossipNode& other = world_->node(members_[peer]);
        const bool committed =
            CommittedWith(other, static_cast<int>(i)) == kept.round;
        if (committed == (kept.use == v1::FLOW)) continue;
        Add(1, ToVector(kept.change), &sum);
      }
    }
    return sum;
  }

  // What one of the two ends may have counted in one of the last rounds that
  // the dead peer was in, and the other did not: from `from` to `to`.
  void AddChoices(int from, int to, int64_t last,
                  std::vector<Choices>* all) const {
    Choices choices = {Vector(kNumbers, 0.0)};
    for (int64_t round = last - 1; round <= last + 1; ++round) {
      for (const PeerWeight& in : schedule_->Row(round - 1, to).in) {
        if (in.peer != from) continue;
        Vector moves(kNumbers, 0.0);
        Add(in.weight, SentBy(from, round), &moves);
        if (!flows()) Add(-in.weight, SentBy(to, round), &moves);
        for (const double sign : {1.0, -1.0}) {
          choices.emplace_back(kNumbers, 0.0);
          Add(sign, moves, &choices.back());
        }
      }
    }
    if (choices.size() > 1) all->push_back(std::move(choices));
  }
  Vector SentBy(int peer, int64_t round) const {
    const auto it = sent_.find({peer, round});
    return it != sent_.end() ? it->second
                             : ToVector(world_->node(peer).state().sent());
  }
  // By a choice of each: none is chosen of a true sum that was conserved.
  static bool Explains(const std::vector<Choices>& all, size_t first,
                       const Vector& rest, int* chosen) {
    if (first == all.size()) return Largest(rest) < 1e-11;
    for (size_t i = 0; i < all[first].size(); ++i) {
      Vector left = rest;
      Add(-1, all[first][i], &left);
      if (!Explains(all, first + 1, left, chosen)) continue;
      *chosen += i > 0 ? 1 : 0;
      return true;
    }
    return false;
  }

  const std::vector<int> members_ = {0, 1, 2, 3, 4, 5, 6, kJoins};
  InlineExecutor pool_;
  std::optional<RandomLoss> faults_;
  std::shared_ptr<const Schedule> schedule_;  // of the first epoch
  std::unique_ptr<GossipWorld> world_;
  std::map<std::pair<int, int64_t>, Vector> sent_;  // by peer and round
  std::optional<Vector> copy_;  // of who joined, before its first step
};

TEST_P(ConservationTest, UnderLossADeathAndAJoin) {
  int halves = 0;  // counted by one end alone, and written off
  int64_t broken = 0;
  constexpr int kDeaths = 16;
  for (int i = 0; i < kDeaths; ++i) {
    const absl::Duration dies = absl::Milliseconds(1500 + 11 * i);
    SCOPED_TRACE(absl::StrCat("dies at ", absl::FormatDuration(dies)));
    Run(dies);
    broken += faults_->broken();
    if (HasFatalFailure()) return;
    for (const int peer : members_) {
      EXPECT_EQ(world_->node(peer).machine().epoch(), 2) << peer;
      EXPECT_EQ(world_->node(peer).machine().round(), kRounds + 1) << peer;
    }
    const GossipNode& dead = world_->node(kDead);
    Vector rest = SumOfTheLiving();
    Add(1, ToVector(dead.state().x()), &rest);
    for (int peer = 0; peer < kPeers; ++peer) Add(-1, StartOf(peer), &rest);
    ASSERT_TRUE(copy_.has_value());
    if (!flows()) {
      const auto is_copy = [this](const auto& x) { return x.second == *copy_; };
      EXPECT_TRUE(absl::c_any_of(sent_, is_copy)) << "it is no peer's";
      Add(-1, *copy_, &rest);
    }
    std::vector<Choices> choices;
    const int64_t last = dead.machine().round() - 1;
    ASSERT_GT(last, 5);
    for (int peer = 0; peer < kDead; ++peer) {
      AddChoices(kDead, peer, last, &choices);
      if (flows()) AddChoices(peer, kDead, last, &choices);
    }
    EXPECT_TRUE(Explains(choices, 0, rest, &halves))
        << "a sum is off by " << Largest(rest);
    rest[0] += 1e-6;
    EXPECT_FALSE(Explains(choices, 0, rest, &halves));
    if (HasFailure()) return;
  }
  EXPECT_GT(broken, 5 * kDeaths);
  EXPECT_GT(halves, 0);
}

INSTANTIATE_TEST_SUITE_P(
    All, ConservationTest,
    testing::Values(Mode{"symmetric", "ring"},
                    Mode{"push_sum", "ring", {.kind = "push_sum"}},
                    Mode{"one_peer", "one_peer_exponential"}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace parley
