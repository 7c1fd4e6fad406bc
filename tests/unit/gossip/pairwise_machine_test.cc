// How the pairwise machine offers, takes, decides and settles exchanges.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/gossip/pairwise_fixture.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

TEST_F(PairwiseTest, OffersDecidesAndEndsItsStepWhenBothAreDone) {
  JoinWanting(2);
  EXPECT_EQ(All<out::Arm>().size(), 1);
  ArriveFromC(1);
  Step(in::Trained{absl::OkStatus()});
  EXPECT_FALSE(Has<out::Mix>()) << "its exchange is under way";
  Hear(to2_, Received(1));
  EXPECT_EQ(All<out::Fold>().size(), 1);
  EXPECT_EQ(Sent(to2_, v1::PeerMessage::kDecision).size(), 1);
  EXPECT_EQ(All<out::Mix>().size(), 1);
  EXPECT_EQ(machine_->committed(2), 1);
  EXPECT_EQ(machine_->used_edges(), 1);
  Step(in::Staged{});
  Step(in::Mixed{absl::OkStatus()});
  EXPECT_EQ(machine_->step(), 2);
  EXPECT_EQ(All<out::Train>()[0].round, 2);
}

TEST_F(PairwiseTest, AsksTheLowerIndexAndTakesItsOffer) {
  JoinWanting(0);
  Step(in::Trained{absl::OkStatus()});
  TakeFromA(1);
  CommitWithA(1);
  EXPECT_EQ(machine_->committed(0), 1);
}

TEST_F(PairwiseTest, OneExchangeDoesForBothWhereBothWantIt) {
  JoinWanting(2);
  HearPairing(to2_, v1::PeerPairing::ASK);  // before it saw the offer
  Step(in::Trained{absl::OkStatus()});
  CommitWithC(1);
  EXPECT_EQ(ReadyFor(to2_), 0);
  Step(in::Mixed{absl::OkStatus()});

  JoinWanting(0);
  Step(in::Trained{absl::OkStatus()});
  TakeFromA(1);  // a wanted it, too: its offer is what was asked for
  Hear(kFromA, Decision(1));
  EXPECT_TRUE(Has<out::Mix>());
}

TEST_F(PairwiseTest, AnswersWhileItTrainsAndAfterwards) {
  JoinWanting(2);
  CommitWithC(1);
  for (int64_t number = 1; number <= 5; ++number) {
    TakeFromA(number);
    CommitWithA(number);
    HearPairing(to2_, v1::PeerPairing::ASK);
    ASSERT_EQ(ReadyFor(to2_), number + 1);
    CommitWithC(number + 1);
  }
  EXPECT_EQ(machine_->step(), 1);
  EXPECT_EQ(machine_->used_edges(), 2);
}

TEST_F(PairwiseTest, WhoComesWhileItIsBusyWaits) {
  JoinWanting(2);
  Hear(kFromA, Ready(1));
  EXPECT_TRUE(SentPairing(kFromA, v1::PeerPairing::WAIT));
  EXPECT_EQ(ReadyFor(kFromA), 0);
  ArriveFromC(1);
  Hear(to2_, Received(1));
  EXPECT_EQ(ReadyFor(kFromA), 0) << "its numbers are not taken in";
  Step(in::Staged{});
  EXPECT_EQ(ReadyFor(kFromA), 1);
  HearPairing(to2_, v1::PeerPairing::ASK);
  EXPECT_TRUE(SentPairing(to2_, v1::PeerPairing::WAIT));
  ArriveFromA(1);
  Hear(kFromA, Decision(1));
  Step(in::Staged{});
  EXPECT_EQ(ReadyFor(to2_), 2);
}

TEST_F(PairwiseTest, AStalledPeerCostsItsEdge) {
  JoinWanting(2);
  Step(in::Trained{absl::OkStatus()});
  Hear(kFromA, Ready(1));
  Pass(kTimeout - absl::Seconds(1));
  EXPECT_FALSE(Has<out::HangUp>());
  Pass(absl::Seconds(1));
  ASSERT_EQ(All<out::HangUp>().size(), 1);
  EXPECT_EQ(All<out::HangUp>()[0].link, to2_);
  EXPECT_TRUE(Has<out::Mix>());
  EXPECT_EQ(machine_->lost_edges(), 1);
  EXPECT_EQ(ReadyFor(kFromA), 1) << "a has its turn";
}

TEST_F(PairwiseTest, AnOfferToOneThatIsBusyIsWithdrawnInTheEnd) {
  JoinWanting(2);
  Step(in::Trained{absl::OkStatus()});
  now_ += absl::Seconds(1);
  HearPairing(to2_, v1::PeerPairing::WAIT);
  Pass(2 * kTimeout);
  EXPECT_FALSE(Has<out::Mix>());
  Pass(2 * kTimeout);
  EXPECT_TRUE(SentPairing(to2_, v1::PeerPairing::WITHDRAW));
  EXPECT_FALSE(Has<out::HangUp>());
  EXPECT_TRUE(Has<out::Mix>());
  // Its number is used up; and who takes it late has to be cut off, as a
  // payload comes that there is no room for.
  Hear(to2_, Ready(1));
  EXPECT_EQ(All<out::HangUp>().size(), 1);
  Step(in::Mixed{absl::OkStatus()});
  Pass(absl::Seconds(6));
  HearHello(to2_, HelloOf(2));
  const auto settle = Sent(to2_, v1::PeerMessage::kSettle);
  ASSERT_EQ(settle.size(), 1);
  EXPECT_EQ(settle[0].settle().committed(), 0);
  EXPECT_EQ(settle[0].settle().decided(), 1);
}

TEST_F(PairwiseTest, AWithdrawnOfferIsForgotten) {
  JoinWanting(2);
  Hear(kFromA, Ready(1));
  HearPairing(kFromA, v1::PeerPairing::WITHDRAW);
  CommitWithC(1);
  EXPECT_EQ(ReadyFor(kFromA), 0);
  TakeFromA(2);
}

TEST_F(PairwiseTest, AStalledPayloadCostsTheLinkButChunksKeepIt) {
  JoinWanting(2);
  Hear(to2_, Ready(1));
  Step(in::Prepared{});
  for (uint64_t chunks = 1; chunks < 5; ++chunks) {
    now_ += kTimeout - absl::Seconds(1);
    Step(in::TimerFired{{{to2_, chunks}}});
    EXPECT_FALSE(Has<out::HangUp>());
  }
  now_ += kTimeout;
  Step(in::TimerFired{{{to2_, 4}}});
  EXPECT_EQ(All<out::HangUp>().size(), 1);
}

TEST_F(PairwiseTest, DoubtIsSettledWhenTheyMeetAgain) {
  for (const bool committed : {true, false}) {
    JoinWanting(0);
    TakeFromA(1);
    Step(in::Closed{kFromA, absl::UnavailableError("broken")});
    ASSERT_EQ(All<out::KeepDoubt>().size(), 1);
    EXPECT_EQ(All<out::KeepDoubt>()[0].weight, 0.5);
    Step(in::Staged{});
    EXPECT_EQ(machine_->doubt(0), 1);
    Step(in::Accepted{4, ""});
    HearHello(4, HelloOf(0));
    Hear(4, Settle(committed ? 1 : 0, 1));
    ASSERT_EQ(All<out::Settle>().size(), 1);
    EXPECT_EQ(All<out::Settle>()[0].committed, committed);
    EXPECT_EQ(machine_->doubt(0), std::nullopt);
    EXPECT_EQ(machine_->committed(0), committed ? 1 : 0);
    Hear(4, Ready(2));
    EXPECT_EQ(ReadyFor(4), 2);
  }
}

TEST_F(PairwiseTest, WithoutThePayloadThereIsNoDoubt) {
  JoinWanting(0);
  Hear(kFromA, Ready(1));
  Step(in::Prepared{});
  Step(in::Closed{kFromA, absl::UnavailableError("broken")});
  EXPECT_FALSE(Has<out::KeepDoubt>());
  EXPECT_EQ(machine_->doubt(0), std::nullopt);
}

TEST_F(PairwiseTest, WhoDecidesIsNeverInDoubt) {
  JoinWanting(2);
  ArriveFromC(1);
  ReconnectC();  // c may be in doubt
  EXPECT_FALSE(Has<out::KeepDoubt>());
  const auto settle = Sent(to2_, v1::PeerMessage::kSettle);
  ASSERT_EQ(settle.size(), 1);
  EXPECT_EQ(settle[0].settle().committed(), 0);
  EXPECT_EQ(settle[0].settle().decided(), 1);
  HearPairing(to2_, v1::PeerPairing::ASK);
  EXPECT_EQ(ReadyFor(to2_), 2);
  CommitWithC(2);
  Step(in::Closed{to2_, absl::UnavailableError("broken")});
  Pass(absl::Seconds(6));
  HearHello(to2_, HelloOf(2));
  EXPECT_EQ(Sent(to2_, v1::PeerMessage::kSettle)[0].settle().committed(), 2);
}

TEST_F(PairwiseTest, OneThatWasStartedAnewCannotSettle) {
  JoinWanting(0);
  TakeFromA(1);
  Step(in::Closed{kFromA, absl::UnavailableError("broken")});
  Step(in::Staged{});
  v1::PeerHello hello = HelloOf(0);
  hello.set_incarnation(99);
  Step(in::Accepted{4, ""});
  HearHello(4, hello);
  ASSERT_EQ(All<out::Settle>().size(), 1);
  EXPECT_FALSE(All<out::Settle>()[0].committed);
  EXPECT_THAT(Said(), HasSubstr("stays unsettled"));
}

// x is frozen for one exchange at a time.
TEST_F(PairwiseTest, WaitsForWhatItGaveUpToBePrepared) {
  JoinWanting(0);
  Hear(kFromA, Ready(1));
  EXPECT_TRUE(Has<out::Prepare>());
  ReconnectA(HelloOf(0));
  Hear(kFromA + 2, Settle(0, 1));
  Hear(kFromA + 2, Ready(2));
  EXPECT_EQ(ReadyFor(kFromA + 2), 0);
  Step(in::Prepared{});
  EXPECT_FALSE(Has<out::SendPayload>());
  EXPECT_EQ(ReadyFor(kFromA + 2), 2);
}

}  // namespace
}  // namespace parley
