// What a session machine does in a gossip run.
#include "client/session/session_machine.h"
#include "tests/unit/session/session_machine_fixture.h"

namespace parley {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class SessionMachinePeerTest : public SessionMachineTest {
 protected:
  v1::ServerMessage Gossip() {
    v1::ServerMessage message = Registered();
    message.mutable_registered()->mutable_config()->mutable_gossip();
    message.mutable_registered()->set_run_id(run_id_);
    return message;
  }
  Words Members(const std::string& other = "b:2", int64_t epoch = 0,
                int64_t since = 0) {
    v1::ServerMessage message;
    v1::Membership& membership = *message.mutable_membership();
    membership.set_epoch(epoch);
    membership.add_member()->set_address(other);
    membership.mutable_member(0)->set_name("bob");
    membership.add_member()->set_name("ann");
    membership.mutable_member(1)->set_since(since);
    return Receive(message);
  }
  Words Taken(int64_t round) {
    v1::ServerMessage message;
    message.mutable_reports_taken()->set_round(round);
    return Receive(message);
  }
  Words Report(int64_t round) {
    v1::PeerReport report;
    report.set_round(round);
    return Step(session_event::PeerReported{report});
  }
  Words MembersWithout(int64_t epoch) {
    v1::ServerMessage message;
    message.mutable_membership()->set_epoch(epoch);
    message.mutable_membership()->add_member()->set_name("bob");
    return Receive(message);
  }
  Words End() { return Step(session_event::PeerEnded{v1::PeerDone()}); }
  Words Comes(const Words& dialled = {"dial a:1", "register at me:1"}) {
    EXPECT_THAT(Wake(), ::testing::ElementsAreArray(dialled));
    return Receive(Gossip());
  }
  // To the point where its peer runs.
  void Begin() {
    Start();
    Receive(Gossip());
    ASSERT_THAT(TrainerMade(), ElementsAre("listen, a:1"));
    ASSERT_THAT(Step(session_event::PeerListens{"me:1"}),
                ElementsAre("register at me:1"));
    Receive(Gossip());
    ASSERT_THAT(Members(), ElementsAre("start peer of 2"));
  }

  uint64_t run_id_ = 9;
};

TEST_F(SessionMachinePeerTest, ListensThenRegistersAgainThenBegins) {
  Begin();
  EXPECT_THAT(Report(1), ElementsAre("reports 1 to 1"));
  EXPECT_THAT(Taken(1), IsEmpty());
  EXPECT_THAT(End(), ElementsAre("done"));
  EXPECT_THAT(Goodbye(true, false), ElementsAre("hang up", "exit OK"));
}

TEST_F(SessionMachinePeerTest, APortThatCannotBeHadEndsIt) {
  Start();
  Receive(Gossip());
  TrainerMade();
  EXPECT_THAT(
      Step(session_event::PeerListens{absl::UnavailableError("in use")}),
      ElementsAre("leave"));
  EXPECT_THAT(Pass(absl::Seconds(1)), Contains("exit UNAVAILABLE"));
}

TEST_F(SessionMachinePeerTest, QuickRoundsAreToldTogether) {
  Begin();
  EXPECT_THAT(Report(1), ElementsAre("reports 1 to 1"));
  EXPECT_THAT(Report(2), IsEmpty());
  EXPECT_THAT(Report(3), IsEmpty());
  EXPECT_THAT(Pass(absl::Milliseconds(100)), ElementsAre("reports 2 to 3"));
}

TEST_F(SessionMachinePeerTest, RunsOnWithoutItsRendezvousAndTellsLater) {
  Begin();
  Report(1);
  Report(2);
  Pass(absl::Milliseconds(100));
  Taken(1);
  EXPECT_THAT(Lose(), ElementsAre("hang up"));  // and does not stop the peer
  EXPECT_THAT(Report(3), IsEmpty());
  ++term_;
  EXPECT_THAT(Comes(), ElementsAre("reports 2 to 3"));
  EXPECT_THAT(Members(), ElementsAre("update b:2"));
  EXPECT_FALSE(exit_);
}

TEST_F(SessionMachinePeerTest, ItDoesNotGiveUpWhileItsPeerRuns) {
  options_.max_offline = absl::Seconds(30);
  Begin();
  Lose();
  Pass(absl::Minutes(10));
  EXPECT_FALSE(exit_);
}

TEST_F(SessionMachinePeerTest, ItsLastWordIsWaitedForALittle) {
  Begin();
  Report(1);
  Lose();
  Pass(absl::Minutes(1));
  End();
  EXPECT_FALSE(exit_);
  Pass(SessionMachine::kLastWord + absl::Seconds(1));
  ASSERT_TRUE(exit_);
  EXPECT_OK(*exit_);
  EXPECT_THAT(said_, Contains(HasSubstr("1 rounds could not be reported")));
}

TEST_F(SessionMachinePeerTest, BackInTimeTheEndIsToldToo) {
  Begin();
  Lose();
  Report(1);
  End();
  EXPECT_THAT(Comes(), ElementsAre("reports 1 to 1", "done"));
  Lose();
  Wake();
  EXPECT_THAT(Receive(Gossip()), ElementsAre("reports 1 to 1", "done"));
}

TEST_F(SessionMachinePeerTest, AnotherRunUnderTheNameIsNotJoinedMeanwhile) {
  Begin();
  Lose();
  ++run_id_;
  EXPECT_THAT(Comes(), ElementsAre("hang up"));
  EXPECT_FALSE(exit_);
  EXPECT_THAT(said_, Contains(HasSubstr("has another run now")));
}

TEST_F(SessionMachinePeerTest, ARunBegunAnewBeforeItsPeersMetIsJoined) {
  Start();
  Receive(Gossip());
  TrainerMade();
  Step(session_event::PeerListens{"me:1"});
  Lose();
  ++run_id_;
  EXPECT_THAT(Comes(), ElementsAre("make trainer"));
  EXPECT_THAT(Members(), IsEmpty());  // its data first
  EXPECT_THAT(TrainerMade(), ElementsAre("start peer of 2"));
}

TEST_F(SessionMachinePeerTest, ItsPeerHearsOfEpochs) {
  Begin();
  EXPECT_THAT(Members("c:3"), ElementsAre("update c:3"));
  EXPECT_THAT(Members("c:3", 1), ElementsAre("update c:3"));
}

TEST_F(SessionMachinePeerTest, AClientThatComesLateWaitsForAnEpoch) {
  Start();
  Receive(Gossip());
  TrainerMade();
  Step(session_event::PeerListens{"me:1"});
  EXPECT_THAT(MembersWithout(3), IsEmpty());
  EXPECT_THAT(said_, Contains(HasSubstr("waits to be let in")));
  EXPECT_THAT(Members("b:2", 4, 4), ElementsAre("start peer of 2"));
  EXPECT_THAT(Members("b:2", 5, 4), ElementsAre("update b:2"));
  EXPECT_FALSE(exit_);
}

TEST_F(SessionMachinePeerTest, DroppedItBeginsAnew) {
  Begin();
  Lose();
  Report(1);
  Wake();
  Receive(Gossip());
  EXPECT_THAT(MembersWithout(1), ElementsAre("end peer"));
  EXPECT_THAT(said_, Contains(HasSubstr("epoch 1 has dropped this peer")));
  EXPECT_THAT(MembersWithout(2), IsEmpty());  // nothing new
  EXPECT_THAT(Members("b:2", 3, 3), ElementsAre("start peer of 2"));
  // What the first one has done is not told any more.
  EXPECT_THAT(Report(9), ElementsAre("reports 9 to 9"));
}

TEST_F(SessionMachinePeerTest, DroppedUnawaresItBeginsAnewAtOnce) {
  Begin();
  EXPECT_THAT(Members("b:2", 2, 2), ElementsAre("end peer", "start peer of 2"));
}

TEST_F(SessionMachinePeerTest, OneThatEndedAloneBeginsAnewToo) {
  Begin();
  Lose();
  End();
  Wake();
  Receive(Gossip());
  EXPECT_THAT(MembersWithout(1), ElementsAre("end peer"));
  EXPECT_THAT(Members("b:2", 2, 2), ElementsAre("start peer of 2"));
  EXPECT_THAT(End(), ElementsAre("done"));
  EXPECT_THAT(Members("b:2", 3, 2), IsEmpty());
}

TEST_F(SessionMachinePeerTest, BackAtItsCoordinatorItNamesItsPart) {
  v1::ServerMessage message = Gossip();
  message.mutable_registered()->set_part(2);
  Start();
  Receive(message);
  EXPECT_FALSE(sent_.register_().has_part());
  TrainerMade();
  Step(session_event::PeerListens{"me:1"});
  Members();
  Lose();
  Wake();
  EXPECT_EQ(sent_.register_().part(), 2);
}

TEST_F(SessionMachinePeerTest, ItLeavesWhenItsPeerHasHandedOver) {
  Begin();
  EXPECT_THAT(Step(session_event::LeaveRequested{"enough"}),
              ElementsAre("leave peers"));
  EXPECT_THAT(Report(1), ElementsAre("reports 1 to 1"));
  EXPECT_THAT(MembersWithout(1), IsEmpty());
  EXPECT_THAT(Step(session_event::PeerEnded{absl::CancelledError("left")}),
              ElementsAre("leave"));
  EXPECT_EQ(sent_.leave().reason(), "enough");
  Goodbye(false, false);
  ASSERT_TRUE(exit_);
  EXPECT_OK(*exit_);
}

// Else the others would go on in the next epoch without what it has.
TEST_F(SessionMachinePeerTest, WhileItLeavesItsPeerHearsOfEpochs) {
  Begin();
  Step(session_event::LeaveRequested{"enough"});
  EXPECT_THAT(Members("b:2", 1), ElementsAre("update b:2"));
  EXPECT_THAT(Members("b:2", 2, 2), IsEmpty());  // it came in as another one
  EXPECT_THAT(MembersWithout(3), IsEmpty());
  EXPECT_THAT(Step(session_event::PeerEnded{absl::CancelledError("left")}),
              ElementsAre("leave"));
}

TEST_F(SessionMachinePeerTest, AskedTwiceItLeavesAtOnce) {
  Begin();
  Step(session_event::LeaveRequested{"enough"});
  EXPECT_THAT(Step(session_event::LeaveRequested{"enough"}),
              ElementsAre("leave"));
}

TEST_F(SessionMachinePeerTest, APeerThatIsDoneWhenItShouldLeaveIsDone) {
  Begin();
  Step(session_event::LeaveRequested{"enough"});
  EXPECT_THAT(End(), ElementsAre("done"));
  EXPECT_THAT(Goodbye(true, false), ElementsAre("hang up", "exit OK"));
}

TEST_F(SessionMachinePeerTest, APeerThatFailsLeaves) {
  Begin();
  EXPECT_THAT(Step(session_event::PeerEnded{absl::InternalError("diverged")}),
              ElementsAre("leave"));
  EXPECT_THAT(sent_.leave().reason(), HasSubstr("diverged"));
  Goodbye(false, false);
  ASSERT_TRUE(exit_);
  EXPECT_EQ(exit_->code(), absl::StatusCode::kInternal);
}

TEST_F(SessionMachinePeerTest, AStoppedRunStopsThePeer) {
  Begin();
  EXPECT_THAT(Goodbye(false, false),
              ElementsAre("hang up", "exit FAILED_PRECONDITION"));
}

TEST_F(SessionMachinePeerTest, ACoordinatorThatEndsIsWaitedFor) {
  Begin();
  EXPECT_THAT(Goodbye(false, true), ElementsAre("hang up"));
  EXPECT_FALSE(exit_);
}

TEST_F(SessionMachinePeerTest, ItKeepsABoundedNumberOfReports) {
  Begin();
  Lose();
  const auto most = static_cast<int64_t>(PeerOutbox::kMaxReports);
  for (int64_t round = 1; round <= most + 5; ++round) Report(round);
  EXPECT_THAT(said_, Contains(HasSubstr("drops older ones")));
  EXPECT_THAT(Comes(), ElementsAre("reports 6 to 105"));
}

TEST_F(SessionMachinePeerTest, RunsWithoutGossipHaveNoPeer) {
  Start();
  Receive(Registered());
  EXPECT_THAT(TrainerMade(), IsEmpty());
  EXPECT_THAT(Members(), Not(Contains("start peer of 2")));
}

}  // namespace
}  // namespace parley
