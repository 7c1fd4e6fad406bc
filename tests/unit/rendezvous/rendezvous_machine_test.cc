#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/unit/rendezvous/rendezvous_world.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// "name@address ..." by index.
std::string Text(const v1::Membership& membership) {
  std::string text = absl::StrCat("epoch ", membership.epoch(), ":");
  for (const v1::Membership::Member& member : membership.member()) {
    absl::StrAppend(&text, " ", member.index(), "=", member.name(), "@",
                    member.address());
  }
  return text;
}

void JoinAll(RendezvousWorld& world, int peers) {
  for (int i = 0; i < peers; ++i) {
    world.Join(std::string(1, static_cast<char>('a' + i)),
               absl::StrCat("h:", i + 1));
  }
}

TEST(RendezvousMachineTest, PeersAreNumberedByPartOnceAllListen) {
  RendezvousWorld world(GossipRun(3, 5));
  v1::Register hello = world.Hello("c");
  hello.set_part(0);
  hello.set_peer_address("h:3");
  world.Join("c", hello);
  world.Join("a", "h:1");
  world.Join("b", world.Hello("b"));  // does not listen yet
  EXPECT_EQ(world.peer("a").memberships.size(), 0u);
  world.Advance(absl::Milliseconds(100));
  EXPECT_EQ(world.status->state(), v1::WAITING);
  EXPECT_THAT(world.status->detail(), HasSubstr("waiting for 1 more peer (3 "
                                                "of 3 registered, 2 ready)"));
  world.Join("b", "h:2");
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_EQ(world.peer(name).memberships.size(), 1u) << name;
    EXPECT_EQ(Text(world.peer(name).memberships[0]),
              "epoch 0: 0=c@h:3 1=a@h:1 2=b@h:2");
  }
  EXPECT_EQ(world.records.size(), 1u);
  EXPECT_EQ(world.peer("a").welcome->part(), 1);
  world.Advance(absl::Milliseconds(100));
  EXPECT_EQ(world.status->state(), v1::RUNNING);
}

TEST(RendezvousMachineTest, PeersWithDataOfTheirOwnAreNumberedByName) {
  v1::RunConfig config = GossipRun(2, 5);
  config.mutable_data()->clear_train();
  RendezvousWorld world(config);
  world.Join("b", "h:2");
  world.Join("a", "h:1");
  ASSERT_EQ(world.peer("b").memberships.size(), 1u);
  EXPECT_EQ(Text(world.peer("b").memberships[0]), "epoch 0: 0=a@h:1 1=b@h:2");
}

TEST(RendezvousMachineTest, WhoCannotBeAPeerIsToldWhy) {
  RendezvousWorld world(GossipRun(2, 5));
  v1::Register hello = world.Hello("old");
  hello.clear_features();
  world.Join("old", hello);
  EXPECT_THAT(world.peer("old").goodbye->reason(),
              HasSubstr("use the parley-client of this release"));
  EXPECT_FALSE(world.peer("old").goodbye->retry());
  hello = world.Hello("own");
  hello.set_wants_part(false);
  world.Join("own", hello);
  EXPECT_THAT(world.peer("own").goodbye->reason(), HasSubstr("part:auto"));
  for (const std::string& address :
       {std::string("nowhere"), std::string(":7"), std::string("a b:7"),
        std::string(300, 'a') + ":7"}) {
    hello = world.Hello("where");
    hello.set_peer_address(address);
    world.Join("where", hello);
    EXPECT_THAT(world.peer("where").goodbye->reason(), HasSubstr("HOST:PORT"))
        << address;
    world.peer("where").goodbye.reset();
  }
  world.Join("a", "h:1");
  world.Join("b", world.Hello("b"));
  world.Join("third", "h:9");
  EXPECT_THAT(world.peer("third").goodbye->reason(),
              HasSubstr("no place for 'third'"));
  world.Join("b", "h:2");
  world.Join("late", "h:9");
  EXPECT_THAT(world.peer("late").goodbye->reason(),
              HasSubstr("all 2 parts belong to clients already"));
  EXPECT_FALSE(world.end);
}

TEST(RendezvousMachineTest, ARoundIsToldOnceAllHaveReportedIt) {
  RendezvousWorld world(GossipRun(3, 4));
  JoinAll(world, 3);
  world.Report("a", 1, 1);
  world.Report("b", 1, 2);
  world.Report("a", 2, 7);
  EXPECT_EQ(world.peer("a").taken, 0);  // a peer keeps what is not told yet
  EXPECT_EQ(world.reports.size(), 0u);
  world.Report("c", 1, 6);
  EXPECT_EQ(world.peer("c").taken, 1);
  ASSERT_EQ(world.reports.size(), 1u);
  EXPECT_EQ(world.reports[0].round, 1);
  EXPECT_DOUBLE_EQ(*world.reports[0].train_loss, 3);
  EXPECT_THAT(world.reports[0].counted, ElementsAre("a", "b", "c"));
  EXPECT_EQ(world.reports[0].bytes_up, 300u);
  world.Report("c", 1, 100);  // again
  EXPECT_EQ(world.reports.size(), 1u);
  world.Advance(absl::Milliseconds(100));
  EXPECT_EQ(world.status->round(), 2);
  EXPECT_EQ(world.status->done(), 1);
  EXPECT_DOUBLE_EQ(world.status->loss(), 3);
}

TEST(RendezvousMachineTest, WhomARoundWaitsForIsSaid) {
  RendezvousWorld world(GossipRun(3, 2));
  JoinAll(world, 3);
  world.Report("a", 1);
  world.Report("c", 1);
  world.Advance(RendezvousMachine::kSayEvery + absl::Seconds(1));
  EXPECT_EQ(world.said.back(), "round 1: waiting for b");
  // After the last one all are waited for until they are done.
  for (int64_t round : {1, 2, 3}) world.Report("b", round);
  world.Done("b");
  world.Report("c", 2);
  world.AdvanceWith(RendezvousMachine::kSayEvery + absl::Seconds(1),
                    {"a", "b", "c"});
  EXPECT_EQ(world.said.back(), "round 2: waiting for a, c");
}

TEST(RendezvousMachineTest, TheEndHasTheAverageAndItsEvaluation) {
  RendezvousWorld world(GossipRun(2, 1));
  JoinAll(world, 2);
  for (const char* name : {"a", "b"}) {
    world.Report(name, 1);
    world.Report(name, 2);  // the average
  }
  EXPECT_EQ(world.reports.size(), 0u);  // the last round waits for the end
  world.Done("a");
  EXPECT_FALSE(world.end);
  world.Done("b");
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::FINISHED);
  ASSERT_EQ(world.reports.size(), 1u);
  EXPECT_EQ(world.reports[0].round, 1);
  EXPECT_EQ(world.reports[0].model_hash, 5u);
  EXPECT_DOUBLE_EQ(*world.reports[0].central.accuracy, 0.9);
  EXPECT_EQ(world.reports[0].evaluations.size(), 2u);
  EXPECT_EQ(world.reports[0].bytes_up, 400u);  // with those of the average
  EXPECT_TRUE(world.peer("a").goodbye->run_over());
  EXPECT_DOUBLE_EQ(world.status->accuracy(), 0.9);
  EXPECT_EQ(world.status->round(), 1);
  EXPECT_FALSE(world.Said("differ"));
}

TEST(RendezvousMachineTest, AveragesThatDifferAreSaid) {
  RendezvousWorld world(GossipRun(2, 1));
  JoinAll(world, 2);
  world.Report("a", 1);
  world.Done("a", 5);
  world.Done("b", 6);
  ASSERT_TRUE(world.end);
  EXPECT_TRUE(world.Said("the peers' models differ"));
}

TEST(RendezvousMachineTest, ThoseThatEndWithoutTheAverageAreSaid) {
  RendezvousWorld world(GossipRun(3, 1));
  JoinAll(world, 3);
  world.Done("a");
  world.Done("b", 6, /*averaged=*/false);
  world.Done("c", 7, /*averaged=*/false);
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->reason,
            "all rounds are done; 2 end with models of their own, without the "
            "average");
}

TEST(RendezvousMachineTest, ADeadPeerIsNotedAndTheOthersEndTheRun) {
  RendezvousWorld world(GossipRun(3, 3));
  JoinAll(world, 3);
  world.Break("c");
  world.AdvanceWith(absl::Seconds(16), {"a", "b"});
  EXPECT_TRUE(world.Said("c is lost: silent for 15s"));
  for (const char* name : {"a", "b"}) world.Report(name, 1);
  ASSERT_EQ(world.reports.size(), 1u);  // nobody waits for it
  EXPECT_THAT(world.reports[0].counted, ElementsAre("a", "b"));
  world.Done("a");
  EXPECT_FALSE(world.end);
  world.Done("b");
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::FINISHED);
  EXPECT_THAT(world.end->reason,
              HasSubstr("2 of 3 peers have done all rounds: c is lost"));
}

TEST(RendezvousMachineTest, APeerThatIsElsewhereIsToldToAll) {
  RendezvousWorld world(GossipRun(2, 3));
  JoinAll(world, 2);
  world.Break("b");
  world.Join("b", "h:22");
  EXPECT_EQ(Text(world.peer("a").memberships.back()),
            "epoch 0: 0=a@h:1 1=b@h:22");
  EXPECT_EQ(Text(world.peer("b").memberships.back()),
            "epoch 0: 0=a@h:1 1=b@h:22");
  EXPECT_EQ(world.records.size(), 2u);
  // The same again is nothing new to others.
  const size_t told = world.peer("a").memberships.size();
  world.Break("b");
  world.Join("b", "h:22");
  EXPECT_EQ(world.peer("a").memberships.size(), told);
}

TEST(RendezvousMachineTest, AResumedOneKnowsItsPeersAndTakesWhatTheyKept) {
  RendezvousWorld world(GossipRun(2, 4));
  JoinAll(world, 2);
  for (const char* name : {"a", "b"}) world.Report(name, 1);
  world.reports.clear();
  world.Resume(1);
  EXPECT_EQ(world.status->state(), v1::RUNNING);
  world.Join("b", "h:2");  // parts are the same, whoever comes first
  EXPECT_EQ(world.peer("b").welcome->part(), 1);
  EXPECT_EQ(Text(world.peer("b").memberships.back()),
            "epoch 0: 0=a@h:1 1=b@h:2");
  for (int64_t round : {1, 2, 3}) world.Report("b", round);
  world.Done("b");
  EXPECT_FALSE(world.end);  // the other may still come
  world.Join("a", "h:1");
  for (int64_t round : {2, 3, 4}) world.Report("a", round);
  ASSERT_EQ(world.reports.size(), 2u);
  EXPECT_EQ(world.reports[0].round, 2);
  EXPECT_THAT(world.reports[1].counted, ElementsAre("a", "b"));
  world.Done("a");
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->reason, "all rounds are done");
}

TEST(RendezvousMachineTest, WhoDoesNotComeBackIsNotWaitedForForEver) {
  RendezvousWorld world(GossipRun(2, 4));
  JoinAll(world, 2);
  world.Resume(0);
  world.Join("a", "h:1");
  world.Done("a");
  EXPECT_FALSE(world.end);
  world.AdvanceWith(RendezvousMachine::kComeBack + absl::Seconds(1), {"a"});
  ASSERT_TRUE(world.end);
  EXPECT_THAT(world.end->reason, HasSubstr("b has not come back"));
}

TEST(RendezvousMachineTest, StopEndsItForAll) {
  RendezvousWorld world(GossipRun(2, 4));
  JoinAll(world, 2);
  world.Step(event::StopRequested{"enough"});
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::STOPPED);
  EXPECT_FALSE(world.peer("a").goodbye->run_over());
  EXPECT_FALSE(world.peer("a").goodbye->retry());
}

TEST(RendezvousMachineTest, NonsenseCostsThePeerItsSessionAndNobodyElse) {
  RendezvousWorld world(GossipRun(2, 4));
  world.Join("a", "h:1");
  world.Report("a", 1);  // before the beginning
  EXPECT_TRUE(world.Said("has not begun"));
  world.Join("b", "h:2");
  for (int i = 0; i < 10; ++i) world.Report("b", 99);
  ASSERT_TRUE(world.peer("b").goodbye);
  EXPECT_THAT(world.peer("b").goodbye->reason(), HasSubstr("no sense"));
  EXPECT_EQ(world.peer("b").session, 0u);
  EXPECT_NE(world.peer("a").session, 0u);
  v1::ClientMessage message;
  message.mutable_update_ready();
  world.Say("a", std::move(message));
  EXPECT_TRUE(world.Said("a gossip run does not have"));
  EXPECT_FALSE(world.end);
}

}  // namespace
}  // namespace parley
