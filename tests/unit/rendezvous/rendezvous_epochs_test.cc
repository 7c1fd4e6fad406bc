// How the membership of a gossip run changes while it goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/rendezvous/epoch_keeper.h"
#include "tests/unit/rendezvous/rendezvous_world.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr int64_t kRounds = 1000;

std::string NameOf(int i) { return std::string(1, static_cast<char>('a' + i)); }

class RendezvousEpochsTest : public ::testing::Test {
 protected:
  // A run of so many peers that have told of ten rounds.
  RendezvousWorld& Begin(v1::RunConfig config) {
    const int peers = config.data().partition().parts();
    world_.emplace(std::move(config));
    for (int i = 0; i < peers; ++i) {
      names_.push_back(NameOf(i));
      world_->Join(NameOf(i), absl::StrCat("h:", i + 1));
    }
    Reports(10, names_);
    return *world_;
  }
  RendezvousWorld& Begin(int peers) { return Begin(GossipRun(peers, kRounds)); }

  void Reports(int64_t round, const std::vector<std::string>& names,
               int64_t epoch = 0) {
    for (const std::string& name : names) {
      world_->Report(name, round, 1, epoch);
    }
  }
  void Pass(absl::Duration d, const std::vector<std::string>& alive) {
    world_->AdvanceWith(d, alive);
  }

  std::optional<RendezvousWorld> world_;
  std::vector<std::string> names_;
};

TEST_F(RendezvousEpochsTest, ALostPeerIsDroppedByANewEpoch) {
  RendezvousWorld& world = Begin(4);
  world.Break("b");
  Pass(absl::Seconds(18), {"a", "c", "d"});
  EXPECT_EQ(world.Told("a"), "epoch 1 from 11: 0=a@h:1 1=c@h:3 2=d@h:4");
  EXPECT_EQ(world.Told("d"), world.Told("a"));
  EXPECT_TRUE(world.Said("epoch 1 from round 11: 3 peers; b is lost"));
  EXPECT_EQ(world.records.size(), 2u);
  Reports(12, {"a", "c", "d"}, 1);
  EXPECT_THAT(world.reports.back().asked, ElementsAre("a", "c", "d"));
  EXPECT_THAT(world.reports.back().counted, ElementsAre("a", "c", "d"));
  EXPECT_THAT(world.reports.back().refused, SizeIs(0));
  for (const char* name : {"a", "c", "d"}) world.Done(name);
  ASSERT_TRUE(world.end);
  EXPECT_THAT(world.end->reason,
              HasSubstr("3 of 4 peers have done all rounds: b is lost"));
}

TEST_F(RendezvousEpochsTest, EachRoundHasTheContractionOfItsGraph) {
  v1::RunConfig config = GossipRun(6, kRounds);
  config.mutable_gossip()->mutable_topology()->mutable_ring();
  RendezvousWorld& world = Begin(std::move(config));
  Reports(11, names_);
  EXPECT_NEAR(world.reports.back().metrics.at("rho"), 2.0 / 3, 1e-9);
  world.Leave("b", "Terminated");
  const std::vector<std::string> others = {"a", "c", "d", "e", "f"};
  Pass(absl::Seconds(2), others);
  EXPECT_TRUE(world.Said("epoch 1 from round 12: 5 peers"));
  for (const int64_t round : {12, 13}) Reports(round, others, 1);
  ASSERT_EQ(world.reports.back().round, 13);
  for (const RoundReport& report : world.reports) {
    // (1 + 2 cos 2π/n)/3
    EXPECT_NEAR(report.metrics.at("rho"),
                report.round < 12 ? 2.0 / 3 : 0.539344662916632, 1e-9)
        << report.round;
  }
}

TEST_F(RendezvousEpochsTest, APeerThatLeavesIsDroppedSooner) {
  RendezvousWorld& world = Begin(3);
  world.Leave("b", "Terminated");
  Pass(absl::Seconds(2), {"a", "c"});
  EXPECT_EQ(world.Told("c"), "epoch 1 from 11: 0=a@h:1 1=c@h:3");
  EXPECT_TRUE(world.Said("epoch 1 from round 11: 2 peers; b left: Terminated"));
  world.Leave("c", "Terminated");
  Pass(absl::Seconds(3), {"a"});
  EXPECT_EQ(world.Told("a"), "epoch 2 from 11: 0=a@h:1");  // goes on alone
  world.Leave("a", "Terminated");
  Pass(absl::Seconds(3), {});
  EXPECT_EQ(world.records.size(), 3u);
  EXPECT_EQ(world.TimesSaid("all peers with the model are lost"), 1);
  EXPECT_FALSE(world.end);
}

// Alone it would go on from the start, or with nothing, and end well.
TEST_F(RendezvousEpochsTest, WhoeverHasJoinedWithoutAModelYetIsNoRun) {
  for (const bool has : {false, true}) {
    SCOPED_TRACE(has);
    names_.clear();
    RendezvousWorld& world = Begin(2);
    world.Leave("b", "Terminated");
    world.Join("new", "h:9");
    Pass(absl::Seconds(2), {"a", "new"});
    ASSERT_EQ(world.Told("new"), "epoch 1 from 11: 0=a@h:1 1=new@h:9 since 1");
    // Of a round with ω = 0, or of one before.
    world.Report("new", 11, 1, 1, 0);
    world.Report("new", 10, 1, 0);
    if (has) world.Report("new", 12, 1, 1, 0.5);
    world.Leave("a", "Terminated");
    Pass(absl::Seconds(5), {"new"});
    EXPECT_EQ(world.TimesSaid("all peers with the model are lost"),
              has ? 0 : 1);
    EXPECT_EQ(world.records.size(), has ? 3u : 2u);
    world.Done("new");
    EXPECT_EQ(world.end.has_value(), has);
    EXPECT_EQ(world.Said("new ended without any of the model"), !has);
  }
}

TEST_F(RendezvousEpochsTest, AClientThatComesLateTakesTheDataOfALostPeer) {
  RendezvousWorld& world = Begin(3);
  world.Leave("b", "Terminated");
  world.Join("new", "h:9");
  EXPECT_EQ(world.peer("new").welcome->part(), 1);
  EXPECT_EQ(world.Told("new"), world.Told("a"));  // and waits
  Pass(absl::Seconds(2), {"a", "c", "new"});
  EXPECT_EQ(world.Told("new"),
            "epoch 1 from 11: 0=a@h:1 1=new@h:9 since 1 2=c@h:3");
  EXPECT_TRUE(world.Said("b left: Terminated; new joins"));
  // It is waited for from its first round on, and its part is its own now.
  Reports(11, {"a", "c"}, 1);
  EXPECT_EQ(world.reports.back().round, 10);
  Reports(11, {"new"}, 1);
  EXPECT_THAT(world.reports.back().counted, ElementsAre("a", "c", "new"));
  world.Join("b", "h:2");
  EXPECT_THAT(world.peer("b").goodbye->reason(), HasSubstr("all 3 parts"));
}

TEST_F(RendezvousEpochsTest, ClientsWithDataOfTheirOwnMakeTheRunGrow) {
  v1::RunConfig config = GossipRun(2, kRounds);
  config.mutable_data()->clear_train();
  RendezvousWorld& world = Begin(config);
  world.Join("x", "h:8");
  world.Join("y", "h:9");
  Pass(absl::Seconds(2), {"a", "b", "x", "y"});
  EXPECT_EQ(world.Told("a"),
            "epoch 1 from 12: 0=a@h:1 1=b@h:2 2=x@h:8 since 1 3=y@h:9 since "
            "1");
  EXPECT_EQ(world.records.size(), 2u);  // one for both
  EXPECT_EQ(world.status->client_size(), 4);
}

TEST_F(RendezvousEpochsTest, AProcessThatWasStartedAnewComesInAgain) {
  RendezvousWorld& world = Begin(3);
  world.Restart("b", "h:22");
  EXPECT_EQ(world.Told("a"), "epoch 0 from 1: 0=a@h:1 1=b@h:2 2=c@h:3");
  Pass(absl::Seconds(2), {"a", "b", "c"});
  EXPECT_EQ(world.Told("b"),
            "epoch 1 from 11: 0=a@h:1 1=b@h:22 since 1 2=c@h:3");
  EXPECT_EQ(world.peer("b").memberships.back().member(1).incarnation(), 2u);
  EXPECT_TRUE(world.Said("b was started anew; b joins again"));
}

TEST_F(RendezvousEpochsTest, AProcessThatIsBackKeepsItsPlaceFromAnother) {
  RendezvousWorld& world = Begin(3);
  world.Break("b");
  world.Restart("b", "h:22");  // under its name, while it is away
  world.Break("b");            // the first one, which is back, displaces it
  world.peer("b").incarnation = 1;
  world.Join("b", "h:2");
  Pass(absl::Seconds(5), {"a", "b", "c"});
  EXPECT_EQ(world.Told("a"), "epoch 0 from 1: 0=a@h:1 1=b@h:2 2=c@h:3");
  Reports(11, {"a", "b", "c"});
  EXPECT_THAT(world.reports.back().counted, ElementsAre("a", "b", "c"));
}

TEST_F(RendezvousEpochsTest, OneThatWasDroppedAliveComesInAgain) {
  RendezvousWorld& world = Begin(3);
  world.Break("b");
  Pass(absl::Seconds(18), {"a", "c"});
  EXPECT_EQ(world.Told("a"), "epoch 1 from 11: 0=a@h:1 1=c@h:3");
  // The same process: it has gone on alone.
  world.Join("b", "h:2");
  EXPECT_EQ(world.Told("b"), world.Told("a"));  // it is not in it
  for (int64_t round : {11, 12, 13}) Reports(round, {"b"});
  Reports(13, {"a", "c"}, 1);
  EXPECT_THAT(world.reports.back().counted, ElementsAre("a", "c"));
  // Nor does it help to claim an epoch that it is not in.
  world.Report("b", 14, 1, 1);
  Pass(absl::Seconds(3), {"a", "b", "c"});
  EXPECT_EQ(world.Told("b"),
            "epoch 2 from 15: 0=a@h:1 1=c@h:3 2=b@h:2 since 2");
  Reports(14, {"b"});  // on its way still
  Reports(16, {"a", "b", "c"}, 2);
  EXPECT_THAT(world.reports.back().counted, ElementsAre("a", "b", "c"));
  for (const RoundReport& report : world.reports) {
    EXPECT_TRUE(report.round < 11 || report.counted.size() > 1) << report.round;
  }
  // Back before it was dropped nothing changes.
  const size_t records = world.records.size();
  world.Break("c");
  Pass(absl::Seconds(15), {"a", "b"});
  world.Join("c", "h:3");
  Pass(absl::Seconds(5), {"a", "b", "c"});
  EXPECT_EQ(world.records.size(), records);
}

TEST_F(RendezvousEpochsTest, ChangesThatComeTogetherMakeOneEpoch) {
  RendezvousWorld& world = Begin(5);
  world.Leave("b", "Terminated");
  world.Advance(absl::Milliseconds(500));
  world.Leave("d", "Terminated");
  world.Restart("c", "h:33");
  Pass(absl::Seconds(2), {"a", "c", "e"});
  EXPECT_EQ(world.Told("a"),
            "epoch 1 from 11: 0=a@h:1 1=c@h:33 since 1 2=e@h:5");
  EXPECT_EQ(world.records.size(), 2u);
}

TEST_F(RendezvousEpochsTest, OneThatComesAndGoesDoesNotStopTheOthers) {
  RendezvousWorld& world = Begin(3);
  const absl::Duration kTime = absl::Minutes(10);
  for (absl::Duration gone; gone < kTime; gone += absl::Seconds(5)) {
    world.Restart("b", "h:2");
    Pass(absl::Seconds(5), {"a", "b", "c"});
  }
  // At even doubling from 2 s on: 2 + 4 + ... + 256 s are over 8 minutes. For
  // each time that it comes in, it goes once.
  EXPECT_LE(world.records.size(), 1u + 2 * 11);
  EXPECT_GE(world.records.size(), 10u);
  // Whoever stays is not punished for it for ever.
  Pass(EpochKeeper::kMostReturn + absl::Seconds(20), {"a", "b", "c"});
  EXPECT_THAT(world.Told("a"), HasSubstr("=b@"));
  Pass(EpochKeeper::kMostReturn + absl::Seconds(20), {"a", "b", "c"});
  const size_t records = world.records.size();
  for (int i = 0; i < 2; ++i) {
    world.Restart("b", "h:2");
    Pass(absl::Seconds(5), {"a", "b", "c"});
  }
  EXPECT_EQ(world.records.size(), records + 2);
}

TEST_F(RendezvousEpochsTest, AGraphThatCannotShrinkKeepsItsMembership) {
  v1::RunConfig config = GossipRun(4, kRounds);
  config.mutable_gossip()->mutable_topology()->mutable_hypercube();
  RendezvousWorld& world = Begin(config);
  world.Leave("b", "Terminated");
  Pass(absl::Seconds(30), {"a", "c", "d"});
  EXPECT_EQ(world.records.size(), 1u);
  EXPECT_EQ(world.TimesSaid("the membership stays epoch 0 with 4 peers"), 1);
  EXPECT_TRUE(world.Said("b left: Terminated")) << world.said.back();
  EXPECT_TRUE(world.Said("it waits for 1 more to join"));
  Reports(11, {"a", "c", "d"});  // and nobody waits for it
  EXPECT_EQ(world.reports.back().round, 11);
  world.Join("new", "h:9");
  Pass(absl::Seconds(3), {"a", "c", "d", "new"});
  EXPECT_EQ(world.Told("a"),
            "epoch 1 from 12: 0=a@h:1 1=new@h:9 since 1 2=c@h:3 3=d@h:4");
}

TEST_F(RendezvousEpochsTest, AnAlgorithmThatCannotKeepsItsMembership) {
  v1::RunConfig config = GossipRun(4, kRounds);
  config.mutable_gossip()->mutable_ad_psgd();
  RendezvousWorld& world = Begin(config);
  world.Leave("b", "Terminated");
  Pass(absl::Seconds(30), {"a", "c", "d"});
  EXPECT_EQ(world.records.size(), 1u);
  EXPECT_EQ(world.TimesSaid("ad_psgd keeps the peers that it began with"), 1);
}

TEST_F(RendezvousEpochsTest, WhereTheMembershipStaysAnewProcessTakesItsPlace) {
  v1::RunConfig config = GossipRun(3, kRounds);
  config.mutable_gossip()->mutable_ad_psgd();
  RendezvousWorld& world = Begin(config);
  world.Break("b");
  Pass(absl::Seconds(18), {"a", "c"});
  EXPECT_EQ(world.TimesSaid("ad_psgd keeps the peers that it began with"), 1);
  world.Restart("b", "h:22");
  EXPECT_EQ(world.Told("a"), "epoch 0 from 1: 0=a@h:1 1=b@h:22 2=c@h:3");
  EXPECT_EQ(world.Told("b"), world.Told("a"));
  EXPECT_TRUE(world.Said("b is at h:22 now"));
  // It counts, and is waited for.
  Reports(20, {"a", "c"});
  EXPECT_EQ(world.reports.back().round, 10);
  Reports(20, {"b"});
  EXPECT_THAT(world.reports.back().counted, ElementsAre("a", "b", "c"));
  for (const char* name : {"a", "b", "c"}) world.Done(name);
  ASSERT_TRUE(world.end.has_value());
  EXPECT_EQ(world.end->reason, "all rounds are done");
}

TEST_F(RendezvousEpochsTest, AProcessThatComesWhenOthersAreDoneIsNotWaitedFor) {
  v1::RunConfig config = GossipRun(3, kRounds);
  config.mutable_gossip()->mutable_ad_psgd();
  RendezvousWorld& world = Begin(config);
  world.Done("a");
  world.Restart("b", "h:22");
  EXPECT_FALSE(world.end.has_value());
  world.Done("c");
  ASSERT_TRUE(world.end.has_value());
  EXPECT_THAT(world.end->reason,
              HasSubstr("2 of 3 peers have done all rounds: b was started"));
}

TEST_F(RendezvousEpochsTest, AResumedOneGoesOnWithTheLatestEpoch) {
  RendezvousWorld& world = Begin(4);
  world.Leave("a", "Terminated");
  Pass(absl::Seconds(3), {"b", "c", "d"});
  world.Leave("c", "Terminated");
  Pass(absl::Seconds(3), {"b", "d"});
  EXPECT_EQ(world.Told("d"), "epoch 2 from 11: 0=b@h:2 1=d@h:4");
  world.Resume(10);
  // Parts are given out only when those of before have had time to come back.
  world.Join("new", world.Hello("new"));
  EXPECT_TRUE(world.peer("new").goodbye->retry());
  for (const auto& [name, part] : {std::pair("d", 3), std::pair("b", 1)}) {
    v1::Register hello = world.Hello(name);
    hello.set_part(part);
    hello.set_peer_address(absl::StrCat("h:", part + 1));
    world.Join(name, hello);
    EXPECT_EQ(world.peer(name).welcome->part(), part);
    EXPECT_EQ(world.Told(name), "epoch 2 from 11: 0=b@h:2 1=d@h:4");
  }
  Reports(20, {"b", "d"}, 2);
  Pass(RendezvousMachine::kComeBack + absl::Seconds(1), {"b", "d"});
  world.Join("new", "h:9");
  EXPECT_EQ(world.peer("new").welcome->part(), 0);
  Pass(absl::Seconds(3), {"b", "d", "new"});
  EXPECT_EQ(world.Told("b"),
            "epoch 3 from 22: 0=b@h:2 1=d@h:4 2=new@h:9 since 3");
}

TEST_F(RendezvousEpochsTest, WhoDoesNotComeBackToAResumedOneIsDropped) {
  RendezvousWorld& world = Begin(3);
  world.Resume(10);
  world.Join("a", "h:1");
  world.Join("b", "h:2");
  Pass(RendezvousMachine::kComeBack + absl::Seconds(3), {"a", "b"});
  EXPECT_EQ(world.Told("a"), "epoch 1 from 11: 0=a@h:1 1=b@h:2");
  EXPECT_TRUE(world.Said("c has not come back"));
}

TEST_F(RendezvousEpochsTest, OneThatSaysTooMuchDoesNotPutTheEpochOff) {
  RendezvousWorld& world = Begin(4);
  world.Report("d", kRounds + 1);
  world.Leave("a", "Terminated");
  Pass(absl::Seconds(2), {"b", "c", "d"});
  EXPECT_THAT(world.Told("b"), HasSubstr("epoch 1 from 11:"));
}

TEST_F(RendezvousEpochsTest, AtTheEndOnlyTheLostStillCount) {
  v1::RunConfig config = GossipRun(3, 10);
  config.mutable_data()->clear_train();
  RendezvousWorld& world = Begin(config);
  world.Join("late", "h:9");
  Pass(absl::Seconds(3), {"a", "b", "c", "late"});
  EXPECT_EQ(world.records.size(), 1u);
  EXPECT_EQ(world.TimesSaid("it waits for the end of the run"), 1);
  // The exact average is over those that are left.
  world.Leave("b", "Terminated");
  Pass(absl::Seconds(3), {"a", "c", "late"});
  EXPECT_EQ(world.Told("a"), "epoch 1 from 11: 0=a@h:1 1=c@h:3");
  world.Done("a");
  world.Leave("c", "it failed");  // nothing is to be changed any more
  Pass(absl::Seconds(3), {"a", "late"});
  EXPECT_EQ(world.records.size(), 2u);
  ASSERT_TRUE(world.end);
  EXPECT_TRUE(world.peer("late").goodbye->run_over());
}

}  // namespace
}  // namespace parley
