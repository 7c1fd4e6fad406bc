// The gossip machine step by step: peers that leave, are started anew, are
// refused.
#include <limits>

#include "tests/unit/gossip/machine_fixture.h"

namespace parley {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Uses both edges of an ordinary round, which is prepared, and mixes.
class LeavingTest : public MachineTest {
 protected:
  void Round(uint64_t from0, int64_t round) {
    Hear(from0, Ready(StepOf(round)));
    Arrive(from0, StepOf(round));
    Hear(from0, Decision(StepOf(round), true));
    Step(in::Staged{});
    Hear(to2_, Ready(StepOf(round)));
    Arrive(to2_, StepOf(round));
    Hear(to2_, Received(StepOf(round)));
    Step(in::Staged{});
    Step(in::Trained{absl::OkStatus()});
    ASSERT_TRUE(Has<out::Mix>());
    Step(in::Mixed{absl::OkStatus()});
  }
};

TEST_F(LeavingTest, WithExchangesTheNextRoundIsAnOrdinaryOneAndTheLast) {
  Begin1();
  Step(in::LeaveRequested{"it has to"});
  EXPECT_TRUE(effects_.empty());
  Round(kFrom0, 1);
  EXPECT_EQ(machine_->round(), 2);
  EXPECT_FALSE(machine_->left());
  ASSERT_EQ(All<out::Prepare>().size(), 1);
  EXPECT_FALSE(All<out::Prepare>()[0].plain);
  EXPECT_TRUE(Has<out::Train>());
  Step(in::Prepared{});
  Round(kFrom0, 2);
  EXPECT_TRUE(machine_->left());
  // It has told both all that it decided: it need not wait for them.
  for (const uint64_t link : {kFrom0, to2_}) {
    ASSERT_EQ(Sent(link, v1::PeerMessage::kLeave).size(), 1);
    EXPECT_EQ(Sent(link, v1::PeerMessage::kLeave)[0].leave().reason(),
              "it has to");
  }
  ASSERT_TRUE(Has<out::Exit>());
  EXPECT_EQ(All<out::Exit>()[0].status, absl::OkStatus());
}

TEST_F(LeavingTest, ASecondTimeOrAStopEndsAtOnce) {
  for (const bool stop : {false, true}) {
    MakeMachine();
    Begin1();
    Step(in::LeaveRequested{"it has to"});
    EXPECT_FALSE(Has<out::Exit>());
    stop ? Step(in::StopRequested{"now"}) : Step(in::LeaveRequested{"now"});
    EXPECT_EQ(Sent(to2_, v1::PeerMessage::kLeave).size(), 1);
    ASSERT_TRUE(Has<out::Exit>());
    EXPECT_EQ(All<out::Exit>()[0].status, absl::OkStatus());
  }
}

TEST_F(LeavingTest, BeforeTheRunBeganItEndsAtOnce) {
  Step(in::Started{});
  HearHello(to2_, HelloOf(2));
  Step(in::LeaveRequested{"it has to"});
  EXPECT_EQ(Sent(to2_, v1::PeerMessage::kLeave).size(), 1);
  EXPECT_TRUE(Has<out::Exit>());
  EXPECT_TRUE(machine_->left());
}

TEST_F(LeavingTest, WithoutAnyEdgeItTriesAFewRounds) {
  Begin1();
  Step(in::LeaveRequested{"it has to"});
  Round(kFrom0, 1);
  for (uint64_t i = 1; i <= GossipMachine::kLeaveTries; ++i) {
    ASSERT_FALSE(machine_->left()) << i;
    EXPECT_EQ(machine_->round(), 1 + i);
    Step(in::Prepared{});
    Hear(2 * i, Decision(StepOf(1 + i), false));
    Hear(to2_, Decision(StepOf(1 + i), false));
    Step(in::Trained{absl::OkStatus()});
    ASSERT_TRUE(Has<out::Mix>()) << i;
    // What was armed was broken off: the links come back.
    Step(in::Accepted{2 + 2 * i, ""});
    HearHello(2 + 2 * i, HelloOf(0));
    Pass(GossipMachine::kMaxDelay);
    HearHello(to2_, HelloOf(2));
    Step(in::Mixed{absl::OkStatus()});
  }
  EXPECT_TRUE(machine_->left());
}

// In doubt about its last round it waits for the other end, but not for ever.
TEST_F(LeavingTest, WaitsForWhatItIsInDoubtAboutForAWhile) {
  Begin1();
  Step(in::LeaveRequested{"it has to"});
  Round(kFrom0, 1);
  Step(in::Prepared{});
  Hear(kFrom0, Ready(StepOf(2)));
  Arrive(kFrom0, StepOf(2));
  Step(in::Closed{kFrom0, absl::UnavailableError("gone")});
  Step(in::Staged{});
  Hear(to2_, Ready(StepOf(2)));
  Arrive(to2_, StepOf(2));
  Hear(to2_, Received(StepOf(2)));
  Step(in::Staged{});
  Step(in::Trained{absl::OkStatus()});
  Step(in::Mixed{absl::OkStatus()});
  EXPECT_TRUE(machine_->left());
  EXPECT_EQ(machine_->doubt(0), 2);
  EXPECT_FALSE(Has<out::Exit>());
  Pass(absl::Seconds(29));
  EXPECT_FALSE(Has<out::Exit>());
  Pass(absl::Seconds(1));
  EXPECT_TRUE(Has<out::Exit>());
}

TEST_F(MachineTest, EdgesOfAPeerThatHasLeftFailAtOnce) {
  Begin1();
  v1::PeerMessage leave;
  leave.mutable_leave()->set_reason("it had to");
  Hear(to2_, leave);
  EXPECT_EQ(machine_->lost_edges(), 1);
  Hear(kFrom0, Ready(StepOf(1)));
  Arrive(kFrom0, StepOf(1));
  Hear(kFrom0, Decision(StepOf(1), true));
  Step(in::Staged{});
  Step(in::Trained{absl::OkStatus()});
  Step(in::Mixed{absl::OkStatus()});
  Step(in::Prepared{});
  EXPECT_EQ(machine_->round(), 2);
  EXPECT_EQ(machine_->lost_edges(), 1);
  Step(in::Closed{to2_, absl::UnavailableError("gone")});
  Pass(absl::Seconds(10));
  EXPECT_FALSE(Has<out::Dial>());
}

using LeavingFlowTest = FlowMachineTest;

// W_11 = 1/3: its neighbours have half of all each.
TEST_F(LeavingFlowTest, HandsOverAllThatItHas) {
  Begin1();
  Step(in::LeaveRequested{"it has to"});
  Step(in::Trained{absl::OkStatus()});
  const v1::PeerStep first = StepOf(1, v1::FLOW);
  std::vector<uint64_t> links = {kFrom0, to2_};
  // It takes the nearest below first.
  for (const uint64_t link : links) {
    Arrive(link, first);
    Step(in::Staged{});
  }
  for (const uint64_t link : links) Hear(link, Ready(first));
  for (const uint64_t link : links) Hear(link, Decision(first, true));
  ASSERT_TRUE(Has<out::Mix>());
  Step(in::Mixed{absl::OkStatus()});
  ASSERT_EQ(machine_->round(), 2);
  // It does not train, and takes nothing in.
  EXPECT_FALSE(Has<out::Train>());
  ASSERT_EQ(All<out::Prepare>().size(), 1);
  EXPECT_TRUE(All<out::Prepare>()[0].plain);
  for (const uint64_t link : {kFrom0, to2_}) {
    const auto declined = Sent(link, v1::PeerMessage::kDecision);
    ASSERT_EQ(declined.size(), 1);
    EXPECT_FALSE(declined[0].decision().committed());
    EXPECT_EQ(declined[0].decision().step().round(), 2);
  }
  Hear(kFrom0, Ready(StepOf(2, v1::FLOW)));
  Hear(to2_, Ready(StepOf(2, v1::FLOW)));
  Step(in::Prepared{});
  EXPECT_FALSE(Has<out::Arm>());
  ASSERT_EQ(All<out::SendPayload>().size(), 2);
  EXPECT_NEAR(All<out::SendPayload>()[0].scale, 1.5, 1e-12);
  Hear(kFrom0, Decision(StepOf(2, v1::FLOW), true));
  ASSERT_TRUE(Has<out::Give>());
  EXPECT_NEAR(All<out::Give>()[0].weight, 0.5, 1e-12);
  // Of the other share it does not know.
  Step(in::Closed{to2_, absl::UnavailableError("gone")});
  ASSERT_TRUE(Has<out::KeepDoubt>());
  EXPECT_NEAR(All<out::KeepDoubt>()[0].weight, 0.5, 1e-12);
  ASSERT_TRUE(Has<out::Mix>());
  Step(in::Mixed{absl::OkStatus()});
  EXPECT_TRUE(machine_->left());
}

TEST_F(LeavingFlowTest, WhatANeighbourHandsOverIsScaledWithinBounds) {
  const auto scaled = [this](double scale) {
    v1::PeerMessage begin = Begin(StepOf(1, v1::FLOW));
    begin.mutable_begin()->set_scale(scale);
    MakeMachine();
    Begin1();
    Hear(kFrom0, begin);
  };
  // Peer 0 keeps 2/3 in other rounds: it gives three times as much at most.
  scaled(3);
  ASSERT_FALSE(Has<out::HangUp>());
  Step(in::PayloadEnded{kFrom0, absl::OkStatus()});
  ASSERT_EQ(All<out::Fold>().size(), 1);
  EXPECT_NEAR(All<out::Fold>()[0].weight, 1, 1e-12);
  for (const double wrong :
       {3.01, 0.5, -1.0, std::numeric_limits<double>::infinity(),
        std::numeric_limits<double>::quiet_NaN()}) {
    scaled(wrong);
    EXPECT_TRUE(Has<out::HangUp>()) << wrong;
  }
}

TEST_F(MachineTest, AnExchangeIsNotScaled) {
  Begin1();
  v1::PeerMessage begin = Begin(StepOf(1));
  begin.mutable_begin()->set_scale(1.5);
  Hear(kFrom0, begin);
  ASSERT_TRUE(Has<out::HangUp>());
  EXPECT_THAT(All<out::Say>()[0].text, HasSubstr("1.5 times"));
}

// Whom the other end declines it does not wait for; told before its round, too.
TEST_F(LeavingFlowTest, AFlowThatIsDeclinedIsKept) {
  Begin1();
  Hear(to2_, Decision(StepOf(2, v1::FLOW), false));
  Hear(to2_, Decision(StepOf(1, v1::FLOW), false));
  EXPECT_EQ(machine_->lost_edges(), 1);
  Hear(to2_, Ready(StepOf(1, v1::FLOW)));
  EXPECT_FALSE(Has<out::SendPayload>());
}

// -------------------------------------------------------------- started anew

class StartedAnewTest : public MachineTest {
 protected:
  void MeetAtRound6And7() {
    Step(in::Started{});
    v1::PeerHello hello = HelloOf(0);
    hello.set_round(6);
    hello.set_met(999);  // an incarnation of this peer
    Step(in::Accepted{kFrom0, ""});
    HearHello(kFrom0, hello);
    EXPECT_FALSE(Has<out::Train>());
    hello = HelloOf(2);
    hello.set_round(7);
    HearHello(to2_, hello);
  }
};

// Round 7 may be one that it took part in before.
TEST_F(StartedAnewTest, ItBeginsWithANeighboursModelAndRound) {
  MeetAtRound6And7();
  EXPECT_FALSE(Has<out::Train>());
  ASSERT_EQ(All<out::Arm>().size(), 1);
  EXPECT_EQ(All<out::Arm>()[0].step.use(), v1::COPY_MODEL);
  const v1::PeerStep step = All<out::Arm>()[0].step;
  Hear(to2_, Ready(StepOf(9)));  // meanwhile
  Arrive(kFrom0, step);
  ASSERT_TRUE(Has<out::TakeModel>());
  Step(in::Staged{});
  ASSERT_EQ(All<out::Train>().size(), 1);
  EXPECT_EQ(All<out::Train>()[0].round, 9);
}

TEST_F(StartedAnewTest, ItBeginsAfterTheRoundOfWhoeverDoesNotWaitForIt) {
  MeetAtRound6And7();
  Arrive(kFrom0, All<out::Arm>()[0].step);
  Step(in::Staged{});
  EXPECT_EQ(All<out::Train>()[0].round, 8);
}

TEST_F(StartedAnewTest, ItAsksTheNextOneWhereNothingComes) {
  MeetAtRound6And7();
  Pass(GossipMachineOptions().edge_timeout);
  ASSERT_EQ(All<out::HangUp>().size(), 1);
  EXPECT_EQ(All<out::HangUp>()[0].link, kFrom0);
  ASSERT_EQ(All<out::Arm>().size(), 1);
  EXPECT_EQ(All<out::Arm>()[0].link, to2_);
  Arrive(to2_, All<out::Arm>()[0].step);
  EXPECT_TRUE(Has<out::TakeModel>());
}

TEST_F(StartedAnewTest, ItAsksNobodyThatHasLeft) {
  MeetAtRound6And7();
  v1::PeerMessage leave;
  leave.mutable_leave()->set_reason("done");
  Hear(kFrom0, leave);
  ASSERT_EQ(All<out::Arm>().size(), 1);
  EXPECT_EQ(All<out::Arm>()[0].link, to2_);
  Hear(to2_, leave);
  EXPECT_FALSE(Has<out::Arm>());
}

TEST_F(StartedAnewTest, ACopyTakesAsLongAsItMoves) {
  MeetAtRound6And7();
  const v1::PeerStep step = All<out::Arm>()[0].step;
  Hear(kFrom0, Begin(step));
  const auto look = [this](uint64_t chunks) {
    now_ += GossipMachineOptions().edge_timeout;
    Step(in::TimerFired{{{kFrom0, chunks}}});
  };
  for (uint64_t chunks = 1; chunks < 20; ++chunks) {
    look(chunks);
    ASSERT_FALSE(Has<out::HangUp>()) << chunks;
    ASSERT_FALSE(Has<out::Exit>()) << chunks;
  }
  look(19);
  EXPECT_TRUE(Has<out::HangUp>());
  EXPECT_EQ(All<out::Arm>()[0].link, to2_);
}

TEST_F(MachineTest, AModelIsServedWhileItTrains) {
  Step(in::Started{});
  Step(in::Accepted{kFrom0, ""});
  HearHello(kFrom0, HelloOf(0));
  HearHello(to2_, HelloOf(2));
  ASSERT_TRUE(Has<out::Train>());
  const v1::PeerStep step = StepOf(1, v1::COPY_MODEL);
  Hear(to2_, Ready(step));
  ASSERT_EQ(All<out::SendPayload>().size(), 1);
  EXPECT_EQ(All<out::SendPayload>()[0].link, to2_);
  EXPECT_TRUE(SameStep(All<out::SendPayload>()[0].step, step));
}

TEST_F(FlowMachineTest, StartedAnewItBeginsWithNothing) {
  Step(in::Started{});
  v1::PeerHello hello = HelloOf(0);
  hello.set_round(6);
  hello.set_met(999);
  Step(in::Accepted{kFrom0, ""});
  HearHello(kFrom0, hello);
  Hear(kFrom0, Ready(StepOf(6, v1::FLOW)));  // it waits for this peer
  hello = HelloOf(2);
  hello.set_round(5);
  HearHello(to2_, hello);
  EXPECT_TRUE(Has<out::TakeNothing>());
  ASSERT_EQ(All<out::Train>().size(), 1);
  EXPECT_EQ(All<out::Train>()[0].round, 6);
}

// It is the neighbours who know: this peer was there from the start.
TEST_F(StartedAnewTest, OneWhoseLinkBrokeAsTheRunBeganIsNot) {
  Step(in::Started{});
  v1::PeerHello hello = HelloOf(0);
  hello.set_round(2);
  hello.set_met(11);  // it is what HelloOf(1) says
  Step(in::Accepted{kFrom0, ""});
  HearHello(kFrom0, hello);
  HearHello(to2_, HelloOf(2));
  EXPECT_FALSE(Has<out::Arm>());
  ASSERT_EQ(All<out::Train>().size(), 1);
  EXPECT_EQ(All<out::Train>()[0].round, 2);
}

// Until the new one is in a round, whatever is lost of what is said.
TEST_F(StartedAnewTest, TellsAnotherThatItIs) {
  Begin1();
  const auto met = [this](uint64_t link, uint64_t incarnation) {
    Step(in::Accepted{link, ""});
    v1::PeerHello hello = HelloOf(0);
    hello.set_incarnation(incarnation);
    HearHello(link, hello);
    const auto sent = Sent(link, v1::PeerMessage::kHello);
    return sent.empty() ? 0 : sent[0].hello().met();
  };
  EXPECT_EQ(met(4, 10), 10);
  EXPECT_EQ(met(6, 99), 10);
  EXPECT_EQ(met(8, 99), 10);
  Hear(8, Ready(StepOf(1)));
  EXPECT_EQ(met(10, 99), 99);
}

// A dead neighbour does not keep it.
TEST_F(StartedAnewTest, ItDoesNotWaitForTheDead) {
  Step(in::Started{});
  v1::PeerHello hello = HelloOf(0);
  hello.set_round(6);
  hello.set_met(999);
  Step(in::Accepted{kFrom0, ""});
  HearHello(kFrom0, hello);
  Step(in::Closed{to2_, absl::UnavailableError("nobody there")});
  for (int i = 0; i < 11; ++i) {
    Pass(absl::Seconds(5));
    EXPECT_FALSE(Has<out::Arm>());
  }
  Pass(absl::Seconds(5));
  EXPECT_TRUE(Has<out::Arm>());
}

// ------------------------------------------------------------------ refused

TEST_F(MachineTest, APeerThatAllRefuseEndsAndSaysWhy) {
  Step(in::Started{});
  v1::PeerMessage goodbye;
  goodbye.mutable_goodbye()->set_reason("it has another model");
  Hear(to2_, goodbye);
  v1::PeerHello hello = HelloOf(0);
  hello.set_run_id(78);
  EXPECT_THAT(RefusalOf(hello), HasSubstr("another run"));
  EXPECT_FALSE(Has<out::Exit>());
  Pass(absl::Seconds(14));
  EXPECT_FALSE(Has<out::Exit>());  // the right ones may still come
  EXPECT_LE(machine_->wake_at() - now_, absl::Seconds(1));
  Pass(absl::Seconds(1));
  ASSERT_TRUE(Has<out::Exit>());
  const absl::Status status = All<out::Exit>()[0].status;
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("a: it takes part in another run"),
                    HasSubstr("c: it has another model")));
}

TEST_F(MachineTest, OneThatFitsIsEnoughToWaitFor) {
  Step(in::Started{});
  v1::PeerMessage goodbye;
  goodbye.mutable_goodbye()->set_reason("it has another model");
  Hear(to2_, goodbye);
  Step(in::Accepted{kFrom0, ""});
  HearHello(kFrom0, HelloOf(0));
  Pass(absl::Seconds(300));
  EXPECT_FALSE(Has<out::Exit>());
}

TEST_F(MachineTest, AnotherEpochMayBecomeOurs) {
  Step(in::Started{});
  v1::PeerMessage goodbye;
  goodbye.mutable_goodbye()->set_reason("it is in membership epoch 0");
  goodbye.mutable_goodbye()->set_retry(true);
  Hear(to2_, goodbye);
  v1::PeerHello hello = HelloOf(0);
  hello.set_epoch(3);
  EXPECT_THAT(RefusalOf(hello), HasSubstr("epoch 3"));
  Pass(absl::Seconds(300));
  EXPECT_FALSE(Has<out::Exit>());
}

}  // namespace
}  // namespace parley
