// Peers that die for good and peers that join: epochs of the membership.
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
};
void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }

// Breaks the links over which models are copied in an epoch.
class NoCopies final : public PeerFaults {
 public:
  explicit NoCopies(int64_t epoch) : epoch_(epoch) {}
  std::optional<int64_t> BreaksPayloadAfter(
      int, int, const v1::PeerBegin& begin) override {
    if (begin.step().use() != v1::COPY_MODEL) return std::nullopt;
    if (begin.step().epoch() != epoch_) return std::nullopt;
    ++broken_;
    return 0;
  }
  int broken() const { return broken_; }

 private:
  const int64_t epoch_;
  int broken_ = 0;
};

class EpochsTest : public testing::TestWithParam<Mode> {
 protected:
  void Make(int64_t peers, int most, int64_t rounds,
            PeerFaults* faults = nullptr) {
    GossipWorldOptions options =
        BenchOptions(&pool_, MakeSchedule(Kind(GetParam().topology), peers),
                     rounds, kElements);
    options.algorithm = GetParam().algorithm;
    options.most_peers = most;
    options.faults = faults;
    options.step_time = [](int peer) {
      return absl::Milliseconds(100 + 7 * peer);
    };
    options.edge_timeout = absl::Seconds(2);
    trajectory_.Watch(&options);
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    world_ = *std::move(world);
  }
  // At a time that is not that of anything else.
  void At(double seconds, std::function<void()> f) {
    world_->world().RunAt(
        absl::UnixEpoch() + absl::Seconds(seconds) + absl::Nanoseconds(123),
        [f = std::move(f)] { f(); });
  }
  void Change(double seconds, std::vector<int> members, int64_t epoch,
              int64_t first_round) {
    At(seconds, [=, this] {
      ASSERT_OK(world_->ChangeMembership(
          members, epoch, first_round,
          MakeSchedule(Kind(GetParam().topology),
                       static_cast<int64_t>(members.size()))));
    });
  }
  bool GivesAway() {
    return TraitsOf(GetParam().algorithm).flows ||
           !MakeSchedule(Kind(GetParam().topology), 5)->symmetric();
  }
  std::vector<Vector> Models(const std::vector<int>& members) {
    std::vector<Vector> x;
    for (const int peer : members) {
      x.push_back(ToVector(world_->node(peer).state().Model()));
    }
    return x;
  }

  ThreadPool pool_{2};
  Trajectory trajectory_;
  std::unique_ptr<GossipWorld> world_;
};

TEST_P(EpochsTest, TheOthersGoOnWithoutOneThatDied) {
  Make(6, 6, 200);
  At(2, [this] { world_->Kill(2); });
  const std::vector<int> rest = {0, 1, 3, 4, 5};
  Change(4, rest, 1, 20);
  ASSERT_OK(world_->Run());
  for (const int peer : rest) {
    EXPECT_EQ(world_->node(peer).machine().epoch(), 1);
    EXPECT_EQ(world_->node(peer).machine().round(), 201);
    EXPECT_TRUE(world_->node(peer).state().doubts().empty());
  }
  EXPECT_LT(Spread(Models(rest)), 1e-3);
  // Whatever was lost was lost before; after it, the mean is that of the rest.
  const Vector mean = MeanOf(Models(rest));
  std::vector<Vector> after;
  double omega = 0;
  for (const int peer : rest) {
    after.push_back(trajectory_.At(60)[peer]);
    omega += world_->node(peer).state().omega();
  }
  if (GetParam().topology == std::string("ring") &&
      GetParam().algorithm.kind == "d_sgd") {
    EXPECT_EQ(omega, 5);
    for (int64_t i = 0; i < kElements; ++i) {
      EXPECT_NEAR(MeanOf(after)[i], mean[i], 1e-12);
    }
  }
}

// Where edges give away a peer joins with nothing: Σx and Σω stay what they
// were, and so does what all peers come to.
TEST_P(EpochsTest, APeerJoinsARunThatGoesOn) {
  Make(5, 7, 150);
  const std::vector<int> all = {0, 1, 2, 3, 4, 5, 6};
  Change(2, {0, 1, 2, 3, 4, 5}, 1, 25);
  Change(6, all, 2, 60);
  ASSERT_OK(world_->Run());
  EXPECT_LT(Spread(Models(all)), 1e-3);
  const bool flows = world_->node(0).state().omega() != 1;
  std::vector<Vector> start;
  for (int i = 0; i < 5; ++i) start.push_back(RandomVector(7, i, kElements));
  if (!flows) {
    // Each joined with a copy: near to the mean, which had formed.
    for (int64_t i = 0; i < kElements; ++i) {
      EXPECT_NEAR(MeanOf(Models(all))[i], MeanOf(start)[i], 0.3);
    }
    return;
  }
  double omega = 0;
  Vector sum(kElements, 0.0);
  for (const int peer : all) {
    omega += world_->node(peer).state().omega();
    const Vector x = ToVector(world_->node(peer).state().x());
    for (int64_t i = 0; i < kElements; ++i) sum[i] += x[i];
  }
  EXPECT_NEAR(omega, 5, 1e-12);
  for (int64_t i = 0; i < kElements; ++i) {
    EXPECT_NEAR(sum[i], 5 * MeanOf(start)[i], 1e-11);
    EXPECT_NEAR(MeanOf(Models(all))[i], MeanOf(start)[i], 1e-3);
  }
}

// As after the reboot of a host: they are each other's first neighbours, and
// have nothing to give.
TEST_P(EpochsTest, TwoJoinSideBySide) {
  Make(6, 8, 120);
  for (const int peer : {0, 1}) {
    At(2, [this, peer] { world_->Kill(peer); });
  }
  const std::vector<int> members = {6, 7, 2, 3, 4, 5};
  Change(4, members, 1, 20);
  ASSERT_OK(world_->Run());
  for (const int peer : members) {
    EXPECT_EQ(world_->node(peer).machine().round(), 121);
  }
  EXPECT_LT(Spread(Models(members)), 1e-2);
}

// It comes to the end all the same, where edges give away: with nothing.
TEST_P(EpochsTest, APeerWhomNobodyGaveAnythingDoesNotEndWell) {
  Make(2, 3, 20);
  Change(1, {0, 1, 2}, 1, 15);
  for (const int peer : {0, 1}) {
    At(1.05, [this, peer] { world_->Kill(peer); });
  }
  const absl::Status status = world_->Run();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(world_->node(2).machine().round() > 20, GivesAway());
}

// One that still waits for a model goes on in the next epoch with the others.
TEST_P(EpochsTest, AnotherEpochMayComeWhileAPeerJoins) {
  NoCopies faults(/*epoch=*/1);
  for (const double after : {0.2, 0.9, 3.0}) {
    SCOPED_TRACE(after);
    Make(5, 7, 60, &faults);
    Change(1, {0, 1, 2, 3, 4, 5}, 1, 10);
    Change(1 + after, {0, 1, 2, 3, 4, 5, 6}, 2, 12);
    ASSERT_OK(world_->Run());
    EXPECT_EQ(faults.broken() > 0, !GivesAway());
    for (int peer = 0; peer < 7; ++peer) {
      EXPECT_EQ(world_->node(peer).machine().round(), 61) << peer;
    }
  }
}

// The membership says so at any time: also before the run begins, in the last
// round, or twice in a row.
TEST_P(EpochsTest, AnEpochMayChangeAtAnyTime) {
  for (double seconds = 0.01; seconds < 4; seconds += 0.237) {
    SCOPED_TRACE(seconds);
    Make(5, 7, 20);
    At(seconds / 2, [this] { world_->Kill(1); });
    Change(seconds, {0, 2, 3, 4}, 1, 4);
    int64_t joined = 0;  // the others' round
    At(seconds + 0.3, [&] { joined = world_->node(0).machine().round(); });
    Change(seconds + 0.3, {5, 0, 4, 2, 3}, 2, 10);
    const absl::Status status = world_->Run();
    // Whoever joins a run that is over finds nobody.
    const bool late = joined >= 19 && absl::IsUnavailable(status);
    ASSERT_TRUE(status.ok() || late) << status;
    double omega = 0;
    for (const int peer : {0, 2, 3, 4, 5}) {
      const GossipNode& node = world_->node(peer);
      if (peer != 5 || !late) {
        EXPECT_EQ(node.machine().round(), 21) << peer;
      }
      EXPECT_TRUE(node.state().doubts().empty()) << peer;
      omega += node.state().omega();
    }
    // What is missing of flows the dead one had.
    EXPECT_LE(omega, 5 + 1e-12);
    EXPECT_GE(omega, GivesAway() ? 3 : 5);
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, EpochsTest,
    testing::Values(
        Mode{"ring", "ring", {}},
        Mode{"push_sum", "ring", {.kind = "push_sum"}},
        Mode{"one_peer", "one_peer_exponential", {}},
        Mode{"matching", "random_matching", {}},
        Mode{"choco", "ring", {.kind = "choco", .compressor = "int8"}}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace parley
