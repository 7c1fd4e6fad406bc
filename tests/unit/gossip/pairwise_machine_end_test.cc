// How the pairwise machine ends: its neighbours go, the average, a stop.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/gossip/pairwise_fixture.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

TEST_F(PairwiseTest, DrawsNobodyThatIsGone) {
  options_.rounds = 30;
  JoinWanting(2);
  Hear(kFromA, Leave());
  CommitWithC(1);
  for (int64_t step = 1; step < 20; ++step) {
    Step(in::Trained{absl::OkStatus()});
    ASSERT_TRUE(Has<out::Mix>());
    Step(in::Mixed{absl::OkStatus()});
    ASSERT_EQ(ReadyFor(to2_), step + 1);
    CommitWithC(step + 1);
  }
  Hear(to2_, Leave());
  Step(in::Trained{absl::OkStatus()});
  Step(in::Mixed{absl::OkStatus()});
  Step(in::Trained{absl::OkStatus()});
  EXPECT_TRUE(Has<out::Mix>()) << "alone";
}

TEST_F(PairwiseTest, GoesOnAnsweringUntilItsNeighboursAreDone) {
  options_.rounds = 1;
  JoinWanting(2);
  CommitWithC(1);
  Step(in::Trained{absl::OkStatus()});
  Step(in::Mixed{absl::OkStatus()});
  EXPECT_TRUE(SentPairing(kFromA, v1::PeerPairing::DONE));
  EXPECT_TRUE(SentPairing(to2_, v1::PeerPairing::DONE));
  TakeFromA(1);
  CommitWithA(1);
  HearPairing(kFromA, v1::PeerPairing::DONE);
  EXPECT_FALSE(Has<out::Exit>());
  HearPairing(to2_, v1::PeerPairing::ASK);
  CommitWithC(2);
  HearPairing(to2_, v1::PeerPairing::DONE);
  ASSERT_EQ(All<out::Exit>().size(), 1);
  EXPECT_TRUE(All<out::Exit>()[0].status.ok());
  EXPECT_EQ(Sent(kFromA, v1::PeerMessage::kLeave).size(), 1);
}

TEST_F(PairwiseTest, DoesNotWaitForEverForSlowOrDeadNeighbours) {
  options_.rounds = 1;
  JoinWanting(2);
  CommitWithC(1);
  now_ += absl::Seconds(10);
  Step(in::Trained{absl::OkStatus()});
  Step(in::Mixed{absl::OkStatus()});
  Step(in::Closed{kFromA, absl::UnavailableError("dead")});
  Pass(2 * kTimeout);
  EXPECT_FALSE(Has<out::Exit>()) << "c is up";
  Pass(PairwiseMachine::kPatience * (absl::Seconds(10) + kTimeout) -
       2 * kTimeout - absl::Seconds(1));
  EXPECT_FALSE(Has<out::Exit>());
  EXPECT_EQ(machine_->wake_at(), now_ + absl::Seconds(1));
  Pass(absl::Seconds(1));
  EXPECT_TRUE(Has<out::Exit>());
  EXPECT_THAT(Said(), HasSubstr("too long"));
}

// b has two neighbours on the path, and on the ring of all, too.
TEST_F(PairwiseTest, TheAverageBeginsWhenTheTokenWentRound) {
  options_.rounds = 1;
  options_.final_average = true;
  JoinWanting(2);
  CommitWithC(1);
  HearPairing(kFromA, v1::PeerPairing::ALL_DONE);
  EXPECT_FALSE(SentPairing(to2_, v1::PeerPairing::ALL_DONE)) << "b is not";
  Step(in::Trained{absl::OkStatus()});
  Step(in::Mixed{absl::OkStatus()});
  EXPECT_TRUE(SentPairing(to2_, v1::PeerPairing::ALL_DONE));
  ReconnectC();
  EXPECT_TRUE(SentPairing(to2_, v1::PeerPairing::ALL_DONE)) << "it may be lost";
  HearPairing(kFromA, v1::PeerPairing::AVERAGE);
  EXPECT_TRUE(SentPairing(to2_, v1::PeerPairing::AVERAGE));
  EXPECT_TRUE(machine_->averages());
  EXPECT_FALSE(Has<out::Exit>());
}

TEST_F(PairwiseTest, TheNextRoundOfANeighbourSaysThatTheAverageBegan) {
  options_.rounds = 1;
  options_.final_average = true;
  JoinWanting(2);
  CommitWithC(1);
  Step(in::Trained{absl::OkStatus()});
  v1::PeerHello hello = HelloOf(0);
  hello.set_round(2);
  Step(in::Mixed{absl::OkStatus()});
  ReconnectA(hello);
  EXPECT_TRUE(machine_->averages());
}

TEST_F(PairwiseTest, ABrokenRingHasNoAverage) {
  options_.rounds = 1;
  options_.final_average = true;
  JoinWanting(2);
  CommitWithC(1);
  Step(in::Trained{absl::OkStatus()});
  Step(in::Mixed{absl::OkStatus()});
  HearPairing(to2_, v1::PeerPairing::DONE);
  Hear(kFromA, Leave());
  EXPECT_FALSE(machine_->averages());
  ASSERT_EQ(All<out::Exit>().size(), 1);
  EXPECT_TRUE(All<out::Exit>()[0].status.ok());
}

TEST_F(PairwiseTest, StartedAnewItDoesNotWaitForTheDead) {
  for (const int64_t round : {1, 2}) {
    machine_ =
        std::make_unique<PairwiseMachine>(options_, plan_, 1, Rng(1, "jitter"));
    Step(in::Started{});
    Step(in::Accepted{kFromA, ""});
    v1::PeerHello hello = HelloOf(0);
    hello.set_round(round);
    HearHello(kFromA, hello);
    Pass(GossipMachine::kAloneAfter * kTimeout - absl::Seconds(1));
    EXPECT_FALSE(Has<out::Train>()) << "c may still come";
    Pass(absl::Seconds(1));
    ASSERT_EQ(Has<out::Train>(), round > 1) << "where a has begun before";
    if (round == 1) continue;
    EXPECT_EQ(All<out::Train>()[0].round, round);
  }
}

TEST_F(PairwiseTest, TheMembershipStaysAsItIs) {
  JoinWanting(2);
  GossipMembership next;
  next.epoch = 0;  // a peer is elsewhere
  Step(in::MembershipChanged{next});
  EXPECT_EQ(Said(), "");
  next.epoch = 1;
  Step(in::MembershipChanged{next});
  EXPECT_THAT(Said(), HasSubstr("goes on with the peers that it began with"));
  next.epoch = 2;
  Step(in::MembershipChanged{next});
  EXPECT_EQ(Said(), "");
  EXPECT_FALSE(Has<out::HangUp>());
}

TEST_F(PairwiseTest, AStopAndAFailureAreTold) {
  JoinWanting(2);
  Step(in::StopRequested{"enough"});
  EXPECT_EQ(Sent(kFromA, v1::PeerMessage::kLeave).size(), 1);
  EXPECT_TRUE(Has<out::Exit>());
  JoinWanting(2);
  Step(in::Trained{absl::InternalError("diverged")});
  EXPECT_EQ(Sent(to2_, v1::PeerMessage::kLeave).size(), 1);
  EXPECT_EQ(All<out::Exit>()[0].status.message(), "diverged");
}

}  // namespace
}  // namespace parley
