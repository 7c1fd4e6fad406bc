// The gossip machine step by step: the exact average after all rounds, of which
// this run has none else.
#include <string>
#include <vector>

#include "tests/unit/gossip/machine_fixture.h"

namespace parley {
namespace {

class LastAverageMachineTest : public MachineTest {
 protected:
  LastAverageMachineTest() {
    rounds_ = 0;
    epoch_wait_ = absl::Seconds(60);
    MakeMachine();
  }

  v1::PeerStep Segment(int step) {
    v1::PeerStep result = StepOf(1, v1::AVERAGE);
    result.set_step(step);
    return result;
  }
  void Start() {
    Step(in::Started{});
    Step(in::Accepted{kFrom0, ""});
    HearHello(kFrom0, HelloOf(0));
    HearHello(to2_, HelloOf(2));
    ASSERT_EQ(All<out::Prepare>().size(), 1);
    EXPECT_TRUE(All<out::Prepare>()[0].plain);
    EXPECT_FALSE(Has<out::Train>());
    Step(in::Prepared{});
  }
  // All segments go round; peer 0 holds the average, and this peer says so,
  // too.
  void PassTheToken() {
    Start();
    for (int step = 0; step < 4; ++step) {
      Hear(to2_, Ready(Segment(step)));
      ASSERT_TRUE(Has<out::SendPayload>()) << step;
      Arrive(kFrom0, Segment(step));
      Step(in::Staged{});
    }
    Hear(kFrom0, Received(Segment(0)));
    ASSERT_EQ(Sent(to2_, v1::PeerMessage::kReceived).size(), 1);
  }
  void LoseBoth() {
    Step(in::Closed{kFrom0, absl::UnavailableError("gone")});
    // Something was under way: it is given up.
    ASSERT_TRUE(Has<out::CloseAverage>());
    EXPECT_FALSE(All<out::CloseAverage>()[0].applied);
    ASSERT_TRUE(Has<out::Mix>());
    Step(in::Closed{to2_, absl::UnavailableError("gone")});
  }
  // This peer and peer 2 go on, as 0 and 1 of epoch 1.
  void GoOnWithout0() {
    TopologyOptions topology;
    topology.kind = "path";
    GossipMembership next;
    next.epoch = 1;
    next.names = {"b", "c"};
    next.addresses = {"1", "2"};
    next.plan = std::make_shared<EdgePlan>(
        *Schedule::Create(topology, {.seed = 1, .epoch = 1, .peers = 2}));
    hash_ = next.plan->schedule().hash();
    Step(in::MembershipChanged{std::move(next)});
  }
  v1::PeerHello HelloOf2InEpoch1() {
    v1::PeerHello hello = HelloOf(2);
    hello.set_index(1);
    hello.set_epoch(1);
    hello.set_schedule_hash(hash_);
    return hello;
  }

  uint64_t hash_ = 0;
};

TEST_F(LastAverageMachineTest, ItsEndIsToldBothWays) {
  PassTheToken();
  Hear(kFrom0, Decision(Segment(0), true));
  ASSERT_TRUE(Has<out::CloseAverage>());
  EXPECT_TRUE(All<out::CloseAverage>()[0].applied);
  for (const uint64_t link : {kFrom0, to2_}) {
    ASSERT_EQ(Sent(link, v1::PeerMessage::kDecision).size(), 1);
    EXPECT_TRUE(
        Sent(link, v1::PeerMessage::kDecision)[0].decision().committed());
  }
  EXPECT_EQ(machine_->committed_average(), 1);
}

TEST_F(LastAverageMachineTest, IsTriedAgainWhenBothNeighboursAreThere) {
  Start();
  LoseBoth();
  Step(in::Mixed{absl::OkStatus()});
  Pass(absl::Seconds(6));
  EXPECT_FALSE(Has<out::Prepare>());
  HearHello(to2_, HelloOf(2));
  EXPECT_FALSE(Has<out::Prepare>());
  Step(in::Accepted{4, ""});
  HearHello(4, HelloOf(0));
  ASSERT_EQ(All<out::Prepare>().size(), 1);
  EXPECT_EQ(All<out::Prepare>()[0].round, 2);
}

TEST_F(LastAverageMachineTest, IsGivenUpAfterAWhile) {
  Start();
  LoseBoth();
  Step(in::Mixed{absl::OkStatus()});
  Pass(absl::Seconds(59));
  EXPECT_FALSE(Has<out::Exit>());
  EXPECT_LE(machine_->wake_at(), now_ + absl::Seconds(1));
  Pass(absl::Seconds(1));
  ASSERT_TRUE(Has<out::Exit>());
  EXPECT_EQ(All<out::Exit>()[0].status, absl::OkStatus());
  EXPECT_EQ(machine_->committed_average(), 0);
}

TEST_F(LastAverageMachineTest, InANewEpochItIsPassedAmongThoseWhoAreLeft) {
  Start();
  LoseBoth();
  GoOnWithout0();
  Step(in::Mixed{absl::OkStatus()});
  ASSERT_EQ(All<out::ChangeEpoch>().size(), 1);
  EXPECT_EQ(All<out::ChangeEpoch>()[0].self, 0);
  ASSERT_EQ(All<out::Prepare>().size(), 1);
  EXPECT_TRUE(All<out::Prepare>()[0].plain);
}

// It holds the average and does not know whether others took it. Peer 2 does.
TEST_F(LastAverageMachineTest, InDoubtItTakesWhatOneInTheNewEpochHasTaken) {
  PassTheToken();
  LoseBoth();
  GoOnWithout0();
  EXPECT_EQ(machine_->doubt(-1), 1);
  Step(in::Mixed{absl::OkStatus()});
  Step(in::Prepared{});
  HearHello(to2_, HelloOf2InEpoch1());
  Hear(to2_, Settle(v1::AVERAGE, 1, 0));
  EXPECT_EQ(machine_->committed_average(), 1);
  // What it passes at the time is given up first.
  ASSERT_TRUE(Has<out::Mix>());
  Step(in::Mixed{absl::OkStatus()});
  ASSERT_EQ(All<out::Settle>().size(), 1);
  EXPECT_EQ(All<out::Settle>()[0].peer, -1);
  EXPECT_TRUE(All<out::Settle>()[0].committed);
  EXPECT_FALSE(Has<out::Prepare>());
}

// Peer 2 would have said so before it sent.
TEST_F(LastAverageMachineTest, InDoubtItPassesAnotherWhereNobodyTookIt) {
  PassTheToken();
  LoseBoth();
  GoOnWithout0();
  Step(in::Mixed{absl::OkStatus()});
  ASSERT_EQ(All<out::Prepare>().size(), 1);
  const int64_t round = All<out::Prepare>()[0].round;
  Step(in::Prepared{});
  HearHello(to2_, HelloOf2InEpoch1());
  // What is said of other averages does not end the doubt.
  Hear(to2_, Settle(v1::AVERAGE, 0, 1));
  EXPECT_EQ(machine_->doubt(-1), 1);
  const auto segment = [&](int step) {
    v1::PeerStep result = StepOf(round, v1::AVERAGE);
    result.set_epoch(1);
    result.set_step(step);
    return result;
  };
  for (int step = 0; step < 2; ++step) {
    Hear(to2_, Ready(segment(step)));
    v1::PeerMessage begin = Begin(segment(step));
    begin.mutable_begin()->set_schedule_hash(hash_);
    Hear(to2_, begin);
    Step(in::PayloadEnded{to2_, absl::OkStatus()});
    EXPECT_FALSE(Has<out::Settle>());
    Step(in::Staged{});
  }
  ASSERT_EQ(All<out::Settle>().size(), 1);
  EXPECT_FALSE(All<out::Settle>()[0].committed);
  EXPECT_EQ(machine_->doubt(-1), std::nullopt);
  EXPECT_EQ(Sent(to2_, v1::PeerMessage::kReceived).size(), 1);
}

}  // namespace
}  // namespace parley
