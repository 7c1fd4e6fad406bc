// What others say of themselves does not get into what a peer tells of its
// rounds: who receives that holds the peer to it.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/fault_bench.h"

namespace parley {
namespace {

constexpr int kPeers = 3;
constexpr int64_t kRounds = 5;

class Deaf final : public PeerLinkListener {
 public:
  void OnMessage(v1::PeerMessage) override {}
  void OnPayload(const absl::StatusOr<uint64_t>&) override {}
  void OnClosed(const absl::Status&) override { closed = true; }
  bool closed = false;
};

class UntrustedTest : public testing::Test {
 protected:
  // A peer's links are those with all others.
  void Make(double scale = 1) {
    GossipWorldOptions options = BenchOptions(
        &pool_, MakeSchedule(Kind("complete"), kPeers), kRounds, kElements);
    options.start = [scale](int peer) {
      Vector x(kElements, 0.0);
      Add(scale, RandomVector(7, peer, kElements), &x);
      return ToParameters(x);
    };
    options.most_peers = kPeers + 1;
    options.step_time = [](int) { return absl::Seconds(1); };
    options.on_round = [this](int, const GossipRound& round, const PeerState&) {
      rounds_.push_back(round);
    };
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    world_ = *std::move(world);
  }

  ThreadPool pool_{1};
  std::unique_ptr<GossipWorld> world_;
  std::vector<GossipRound> rounds_;  // of all peers
};

TEST_F(UntrustedTest, BytesAreThoseThatCame) {
  Make();
  Deaf stranger;
  std::unique_ptr<PeerLink> link;
  world_->world().RunAt(absl::UnixEpoch() + absl::Seconds(1.5), [&] {
    link = world_->network().TransportOf(kPeers)->Dial("0", &stranger);
    v1::PeerMessage message;
    message.mutable_hello()->set_run("run");
    link->Send(message);
    message.mutable_begin()->add_bytes(uint64_t{1} << 60);
    link->Send(message);
  });
  ASSERT_OK(world_->Run());
  EXPECT_TRUE(stranger.closed);
  ASSERT_EQ(rounds_.size(), kPeers * kRounds);
  for (const GossipRound& round : rounds_) {
    EXPECT_EQ(round.bytes_received, (kPeers - 1) * kElements * sizeof(double));
    EXPECT_EQ(round.bytes_received, round.bytes_sent);
  }
}

TEST_F(UntrustedTest, ModelsMayBeSoFarApartThatTheirDistanceIsNoNumber) {
  Make(1e160);
  ASSERT_OK(world_->Run());
  ASSERT_EQ(rounds_.size(), kPeers * kRounds);
  for (const GossipRound& round : rounds_) {
    EXPECT_EQ(round.used_edges, kPeers - 1);
    EXPECT_TRUE(std::isfinite(round.neighbour_distance)) << round.round;
  }
}

}  // namespace
}  // namespace parley
