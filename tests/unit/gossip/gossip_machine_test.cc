// The gossip machine step by step: rounds, links, doubts.
#include <limits>

#include "absl/strings/str_cat.h"
#include "tests/unit/gossip/machine_fixture.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

TEST_F(MachineTest, DialsHigherPeersAndWaitsForAllBeforeItBegins) {
  Step(in::Started{});
  ASSERT_EQ(All<out::Dial>().size(), 1);
  EXPECT_EQ(All<out::Dial>()[0].peer, 2);
  EXPECT_EQ(Sent(to2_, v1::PeerMessage::kHello).size(), 1);
  HearHello(to2_, HelloOf(2));
  EXPECT_FALSE(Has<out::Train>());
  // What it decided so far, for the one that may be in doubt.
  EXPECT_EQ(Sent(to2_, v1::PeerMessage::kSettle).size(), 1);
  Step(in::Accepted{kFrom0, "a"});
  HearHello(kFrom0, HelloOf(0));
  EXPECT_EQ(Sent(kFrom0, v1::PeerMessage::kHello).size(), 1);
  EXPECT_TRUE(Has<out::Train>());
  EXPECT_TRUE(Has<out::Prepare>());
}

TEST_F(MachineTest, RefusesWhoDoesNotFit) {
  Step(in::Started{});
  v1::PeerHello hello = HelloOf(0);
  hello.set_protocol_version(99);
  EXPECT_THAT(RefusalOf(hello), HasSubstr("speaks protocol version 99"));
  hello = HelloOf(0);
  hello.set_run_id(78);
  EXPECT_THAT(RefusalOf(hello), HasSubstr("another run"));
  hello = HelloOf(0);
  hello.set_spec_hash(1);
  EXPECT_THAT(RefusalOf(hello), HasSubstr("another model"));
  hello = HelloOf(0);
  hello.set_epoch(3);
  EXPECT_THAT(RefusalOf(hello), HasSubstr("membership epoch 3"));
  hello = HelloOf(0);
  hello.set_schedule_hash(5);
  EXPECT_THAT(RefusalOf(hello), HasSubstr("another schedule"));
  hello = HelloOf(0);
  hello.set_name("z");
  EXPECT_THAT(RefusalOf(hello), HasSubstr("peer 0 is not z here"));
  EXPECT_THAT(RefusalOf(HelloOf(2)), HasSubstr("lower index dials"));
  hello = HelloOf(0);
  hello.set_index(7);
  EXPECT_THAT(RefusalOf(hello), HasSubstr("peer 7 is not"));
  Step(in::Accepted{kFrom0, "mallory"});
  HearHello(kFrom0, HelloOf(0));
  EXPECT_THAT(Sent(kFrom0, v1::PeerMessage::kGoodbye)[0].goodbye().reason(),
              HasSubstr("certificate is for mallory"));
  EXPECT_EQ(RefusalOf(HelloOf(0)), "");
}

TEST_F(MachineTest, AStrangerThatSaysNothingOrSomethingElseIsSentAway) {
  Step(in::Started{});
  Step(in::Accepted{kFrom0, ""});
  Hear(kFrom0, Ready(StepOf(1)));
  EXPECT_TRUE(Has<out::HangUp>());
  Step(in::Accepted{4, ""});
  Pass(GossipMachine::kDialTimeout);
  ASSERT_FALSE(Sent(4, v1::PeerMessage::kGoodbye).empty());
  EXPECT_TRUE(Sent(4, v1::PeerMessage::kGoodbye)[0].goodbye().retry());
}

TEST_F(MachineTest, TheOtherEndDecides) {
  Begin1();
  // The edge with 0 has the first colour. It gets ready for it, and sends when
  // the other one is.
  ASSERT_EQ(All<out::Arm>().size(), 1);
  EXPECT_EQ(All<out::Arm>()[0].link, kFrom0);
  Hear(kFrom0, Ready(StepOf(1)));
  ASSERT_EQ(All<out::SendPayload>().size(), 1);
  EXPECT_EQ(All<out::SendPayload>()[0].link, kFrom0);
  Arrive(kFrom0, StepOf(1));
  EXPECT_EQ(Sent(kFrom0, v1::PeerMessage::kReceived).size(), 1);
  EXPECT_FALSE(Has<out::Fold>());
  Hear(kFrom0, Decision(StepOf(1), true));
  ASSERT_TRUE(Has<out::Fold>());
  EXPECT_EQ(All<out::Fold>()[0].peer, 0);
  // One staging buffer: the next edge waits until it is free.
  EXPECT_FALSE(Has<out::Arm>());
  Step(in::Staged{});
  ASSERT_TRUE(Has<out::Arm>());
  EXPECT_EQ(All<out::Arm>()[0].link, to2_);
}

TEST_F(MachineTest, CommitsWhatBothHold) {
  Begin1();
  Hear(kFrom0, Ready(StepOf(1)));
  Arrive(kFrom0, StepOf(1));
  Hear(kFrom0, Decision(StepOf(1), true));
  Step(in::Staged{});
  Hear(to2_, Ready(StepOf(1)));
  EXPECT_TRUE(Has<out::SendPayload>());
  Arrive(to2_, StepOf(1));
  EXPECT_TRUE(Sent(to2_, v1::PeerMessage::kDecision).empty());
  Hear(to2_, Received(StepOf(1)));
  ASSERT_EQ(Sent(to2_, v1::PeerMessage::kDecision).size(), 1);
  EXPECT_TRUE(Sent(to2_, v1::PeerMessage::kDecision)[0].decision().committed());
  EXPECT_TRUE(Has<out::Fold>());
  EXPECT_EQ(machine_->committed(2), 1);
  Step(in::Staged{});
  EXPECT_FALSE(Has<out::Mix>());  // it still trains
  Step(in::Trained{absl::OkStatus()});
  EXPECT_TRUE(Has<out::Mix>());
  Step(in::Mixed{absl::OkStatus()});
  EXPECT_EQ(machine_->round(), 2);
  EXPECT_TRUE(Has<out::Prepare>());
}

// Received was sent, and then the link breaks.
TEST_F(MachineTest, KeepsWhatItIsInDoubtAboutUntilItIsSettled) {
  Begin1();
  Hear(kFrom0, Ready(StepOf(1)));
  Arrive(kFrom0, StepOf(1));
  Step(in::Closed{kFrom0, absl::UnavailableError("gone")});
  ASSERT_TRUE(Has<out::KeepDoubt>());
  EXPECT_EQ(All<out::KeepDoubt>()[0].peer, 0);
  EXPECT_EQ(machine_->doubt(0), 1);
  // The other edge goes on.
  Step(in::Staged{});
  EXPECT_EQ(All<out::Arm>()[0].link, to2_);
  Hear(to2_, Ready(StepOf(1)));
  Arrive(to2_, StepOf(1));
  Hear(to2_, Received(StepOf(1)));
  Step(in::Staged{});
  Step(in::Trained{absl::OkStatus()});
  ASSERT_TRUE(Has<out::Mix>());
  Step(in::Mixed{absl::OkStatus()});
  Step(in::Prepared{});
  // It is back. Nothing moves over the edge before it is settled.
  Step(in::Accepted{4, ""});
  v1::PeerHello hello = HelloOf(0);
  hello.set_round(2);
  HearHello(4, hello);
  Hear(4, Ready(StepOf(2)));
  EXPECT_FALSE(Has<out::SendPayload>());
  Hear(4, Settle(v1::EXCHANGE, 1, 1));
  EXPECT_TRUE(Has<out::SendPayload>());
  EXPECT_FALSE(Has<out::Settle>());  // between rounds
  Arrive(4, StepOf(2));
  Hear(4, Decision(StepOf(2), true));
  Step(in::Staged{});
  Hear(to2_, Decision(StepOf(2), false));
  Step(in::Trained{absl::OkStatus()});
  ASSERT_TRUE(Has<out::Mix>());
  Step(in::Mixed{absl::OkStatus()});
  ASSERT_TRUE(Has<out::Settle>());
  EXPECT_TRUE(All<out::Settle>()[0].committed);
  EXPECT_EQ(All<out::Settle>()[0].rounds_late, 2);
  EXPECT_EQ(machine_->doubt(0), std::nullopt);
}

TEST_F(MachineTest, WhoeverIsStartedAnewCannotSettle) {
  Begin1();
  Hear(kFrom0, Ready(StepOf(1)));
  Arrive(kFrom0, StepOf(1));
  Step(in::Closed{kFrom0, absl::UnavailableError("gone")});
  Step(in::Accepted{4, ""});
  v1::PeerHello hello = HelloOf(0);
  hello.set_incarnation(999);
  HearHello(4, hello);
  Hear(4, Settle(v1::EXCHANGE, 0, 0));
  Step(in::Staged{});
  Hear(to2_, Decision(StepOf(1), false));
  Step(in::Trained{absl::OkStatus()});
  Step(in::Mixed{absl::OkStatus()});
  ASSERT_TRUE(Has<out::Settle>());
  EXPECT_FALSE(All<out::Settle>()[0].committed);
}

// Its own Received is not out yet: it may give the edge up by itself.
TEST_F(MachineTest, ABrokenPayloadCostsTheEdgeWithoutDoubt) {
  Begin1();
  Hear(kFrom0, Begin(StepOf(1)));
  Step(in::PayloadEnded{kFrom0, absl::DataLossError("checksum")});
  EXPECT_EQ(All<out::HangUp>()[0].link, kFrom0);
  EXPECT_FALSE(Has<out::KeepDoubt>());
  EXPECT_THAT(All<out::Say>()[0].text, HasSubstr("checksum"));
  EXPECT_EQ(machine_->lost_edges(), 1);
  ASSERT_TRUE(Has<out::Arm>());  // for the next edge
  EXPECT_EQ(All<out::Arm>()[0].link, to2_);
}

TEST_F(MachineTest, PayloadsOfAnotherRoundScheduleEpochOrWeightAreRefused) {
  const auto drops = [this](v1::PeerMessage message, const char* why) {
    MakeMachine();
    Begin1();
    Hear(kFrom0, std::move(message));
    ASSERT_TRUE(Has<out::HangUp>()) << why;
    EXPECT_THAT(All<out::Say>()[0].text, HasSubstr(why));
  };
  v1::PeerMessage begin = Begin(StepOf(2));
  drops(begin, "round 2 what is not expected");
  begin = Begin(StepOf(1));
  begin.mutable_begin()->set_schedule_hash(1);
  drops(begin, "another schedule");
  begin = Begin(StepOf(1));
  begin.mutable_begin()->mutable_step()->set_epoch(4);
  drops(begin, "membership epoch 4");
  begin = Begin(StepOf(1));
  begin.mutable_begin()->set_weight(-1);
  drops(begin, "weight is -1");
  begin.mutable_begin()->set_weight(std::numeric_limits<double>::quiet_NaN());
  drops(begin, "weight is nan");
  // Nobody gives away in an exchange.
  for (const double weight : {0.0, 1e-320, 0.5, 2.0}) {
    begin.mutable_begin()->set_weight(weight);
    drops(begin, "weight is ");
  }
  v1::PeerMessage ready = Ready(StepOf(1));
  ready.mutable_ready()->mutable_step()->set_epoch(9);
  drops(ready, "membership epoch 9");
}

TEST_F(MachineTest, ALatePeerCostsItsEdgeAndNotTheRun) {
  start_wait_ = absl::Seconds(10);
  MakeMachine();
  Begin1();
  Step(in::Trained{absl::OkStatus()});
  Pass(absl::Seconds(14));
  EXPECT_FALSE(Has<out::HangUp>());
  Pass(absl::Seconds(1));  // nothing came of 0, for which it is ready
  EXPECT_EQ(All<out::HangUp>()[0].link, kFrom0);
  ASSERT_TRUE(Has<out::Arm>());
  EXPECT_EQ(All<out::Arm>()[0].link, to2_);
  Pass(absl::Seconds(15));  // the second edge has twice as long
  EXPECT_TRUE(Has<out::Mix>());
  EXPECT_EQ(machine_->lost_edges(), 2);
}

TEST_F(MachineTest, ChunksThatMoveKeepAnEdge) {
  start_wait_ = absl::Seconds(10);
  MakeMachine();
  Begin1();
  for (int i = 1; i <= 5; ++i) {
    now_ += absl::Seconds(14);
    Step(in::TimerFired{{{kFrom0, i}}});
    EXPECT_FALSE(Has<out::HangUp>());
  }
  now_ += absl::Seconds(15);
  Step(in::TimerFired{{{kFrom0, 5}}});
  EXPECT_TRUE(Has<out::HangUp>());
}

TEST_F(MachineTest, AnEdgeWhoseOtherEndIsInALaterRoundIsGivenUp) {
  Begin1();
  Hear(to2_, Ready(StepOf(3)));
  EXPECT_EQ(machine_->lost_edges(), 1);
  ASSERT_EQ(Sent(to2_, v1::PeerMessage::kDecision).size(), 1);
  EXPECT_FALSE(
      Sent(to2_, v1::PeerMessage::kDecision)[0].decision().committed());
}

TEST_F(MachineTest, DialsAgainAndMoreSlowlyAndKnowsTheDead) {
  Begin1();
  Step(in::Closed{to2_, absl::UnavailableError("gone")});
  absl::Duration last;
  for (int i = 0; i < 8; ++i) {
    const uint64_t before = to2_;
    Pass(GossipMachine::kMaxDelay);
    ASSERT_NE(to2_, before);
    Step(in::Closed{to2_, absl::UnavailableError("refused")});
    const absl::Duration delay = machine_->wake_at() - now_;
    EXPECT_LE(delay, GossipMachine::kMaxDelay);
    last = delay;
  }
  EXPECT_GT(last, GossipMachine::kFirstDelay);
}

TEST_F(MachineTest, APeerThatIsCutOffWaitsForAWhile) {
  Begin1();
  Step(in::Trained{absl::OkStatus()});
  Step(in::Closed{kFrom0, absl::UnavailableError("gone")});
  Step(in::Closed{to2_, absl::UnavailableError("gone")});
  while (!Has<out::Mix>()) Pass(absl::Seconds(5));
  Step(in::Mixed{absl::OkStatus()});
  EXPECT_FALSE(Has<out::Train>());
  Pass(absl::Seconds(30));
  EXPECT_FALSE(Has<out::Train>());
  // The others are at round 7 by now.
  Step(in::Accepted{4, ""});
  v1::PeerHello hello = HelloOf(0);
  hello.set_round(7);
  HearHello(4, hello);
  ASSERT_TRUE(Has<out::Train>());
  EXPECT_EQ(All<out::Train>()[0].round, 7);
}

TEST_F(MachineTest, StopTakesLeave) {
  Begin1();
  Step(in::StopRequested{"enough"});
  EXPECT_EQ(Sent(kFrom0, v1::PeerMessage::kLeave).size(), 1);
  EXPECT_TRUE(Has<out::Exit>());
  EXPECT_EQ(machine_->wake_at(), absl::InfiniteFuture());
}

TEST_F(MachineTest, TrainingThatFailsEndsIt) {
  Begin1();
  Step(in::Trained{absl::InternalError("diverged")});
  EXPECT_EQ(Sent(to2_, v1::PeerMessage::kLeave).size(), 1);
  EXPECT_EQ(All<out::Exit>()[0].status, absl::InternalError("diverged"));
}

TEST_F(FlowMachineTest, TheReceiverDecidesAndTheSenderGivesAway) {
  Begin1();
  const v1::PeerStep step = StepOf(1, v1::FLOW);
  Arrive(kFrom0, step);
  ASSERT_EQ(Sent(kFrom0, v1::PeerMessage::kDecision).size(), 1);
  EXPECT_TRUE(Has<out::Fold>());
  Hear(kFrom0, Ready(step));
  EXPECT_TRUE(Has<out::SendPayload>());
  EXPECT_FALSE(Has<out::Give>());
  Hear(kFrom0, Decision(step, true));
  ASSERT_TRUE(Has<out::Give>());
  EXPECT_NEAR(All<out::Give>()[0].weight, 1.0 / 3, 1e-12);
}

TEST_F(FlowMachineTest, AWeightIsZeroOrHasAnInverse) {
  const auto taken = [this](double weight) {
    MakeMachine();
    Begin1();
    v1::PeerMessage begin = Begin(StepOf(1, v1::FLOW));
    begin.mutable_begin()->set_weight(weight);
    Hear(kFrom0, begin);
    return !Has<out::HangUp>();
  };
  for (const double weight : {0.0, 1e-300, 0.25, 1.0, 16384.0}) {
    EXPECT_TRUE(taken(weight)) << weight;
  }
  const double none = std::numeric_limits<double>::quiet_NaN();
  for (const double weight : {-1e-300, 1e-320, 1e12, 1e300, none}) {
    EXPECT_FALSE(taken(weight)) << weight;
  }
}

TEST_F(FlowMachineTest, NobodyWaitsForWhatABrokenLinkHasLost) {
  Begin1();
  const v1::PeerStep step = StepOf(1, v1::FLOW);
  Hear(kFrom0, Begin(step));
  Step(in::PayloadEnded{kFrom0, absl::DataLossError("checksum")});
  const uint64_t again = kFrom0 + 2;
  Step(in::Accepted{again, ""});
  HearHello(again, HelloOf(0));
  const auto told = Sent(again, v1::PeerMessage::kDecision);
  ASSERT_EQ(told.size(), 1);
  EXPECT_TRUE(SameStep(told[0].decision().step(), step));
  EXPECT_FALSE(told[0].decision().committed());
}

// No peer has more edges than there are peers: reports are held to that.
TEST_F(FlowMachineTest, AnEdgeIsLostOnceInARound) {
  Begin1();
  const v1::PeerStep step = StepOf(1, v1::FLOW);
  Hear(kFrom0, Begin(step));
  Step(in::Closed{kFrom0, absl::UnavailableError("gone")});
  EXPECT_EQ(machine_->lost_edges(), 1);
  // What this peer would have sent over it is not taken, either.
  Step(in::Accepted{4, ""});
  HearHello(4, HelloOf(0));
  Hear(4, Decision(step, false));
  EXPECT_EQ(machine_->lost_edges(), 1);
  Hear(to2_, Decision(step, false));
  EXPECT_EQ(machine_->lost_edges(), 2);
  Step(in::Closed{to2_, absl::UnavailableError("gone")});
  EXPECT_EQ(machine_->lost_edges(), 2);
}

TEST_F(FlowMachineTest, TheSenderIsInDoubtFromItsBeginOn) {
  Begin1();
  Hear(to2_, Ready(StepOf(1, v1::FLOW)));
  ASSERT_TRUE(Has<out::SendPayload>());
  Step(in::Closed{to2_, absl::UnavailableError("gone")});
  ASSERT_TRUE(Has<out::KeepDoubt>());
  EXPECT_EQ(machine_->doubt(2), 1);
  Pass(absl::Seconds(1));
  HearHello(to2_, HelloOf(2));
  Hear(to2_, Settle(v1::FLOW, 0, 1));
  // It was not used: it comes back with the next round.
  Hear(kFrom0, Ready(StepOf(2, v1::FLOW)));
  Pass(absl::Seconds(60));
  Step(in::Trained{absl::OkStatus()});
  ASSERT_TRUE(Has<out::Mix>());
  Step(in::Mixed{absl::OkStatus()});
  Pass(absl::Seconds(5));
  HearHello(to2_, HelloOf(2));
  ASSERT_TRUE(Has<out::Settle>());
  EXPECT_TRUE(SameStep(All<out::Settle>()[0].step, StepOf(1, v1::FLOW)));
  EXPECT_FALSE(All<out::Settle>()[0].committed);
}

TEST_F(MachineTest, AnEpochSaysWhoIsAnotherProcess) {
  Step(in::Started{});
  TopologyOptions topology;
  topology.kind = "path";
  GossipMembership next;
  next.epoch = 2;
  next.self = 1;
  next.names = next.addresses = {"c", "b"};
  next.since = {1, 0};
  next.plan = std::make_shared<EdgePlan>(
      *Schedule::Create(topology, {.seed = 1, .epoch = 2, .peers = 2}));
  Step(in::MembershipChanged{std::move(next)});
  ASSERT_EQ(All<out::ChangeEpoch>().size(), 1);
  const out::ChangeEpoch change = All<out::ChangeEpoch>()[0];
  EXPECT_EQ(change.index, (std::vector<int>{-1, 1, 0}));
  EXPECT_EQ(change.begins_anew, (std::vector<bool>{true, false}));
}

}  // namespace
}  // namespace parley
