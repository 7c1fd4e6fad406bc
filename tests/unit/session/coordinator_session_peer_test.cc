// A session in a gossip run, with a peer that does what the test says.
#include "tests/unit/session/coordinator_session_fixture.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FakePeerHost final : public PeerHost {
 public:
  absl::StatusOr<std::string> Listen(const std::string& server) override {
    calls.push_back("listen, " + server);
    return "me:1";
  }
  absl::Status Begin(Setup setup_) override {
    calls.push_back("begin");
    if (!begin_status.ok()) return begin_status;
    setup = std::move(setup_);
    return absl::OkStatus();
  }
  void Update(const v1::Membership& membership) override {
    calls.push_back("update " + membership.member(0).address());
  }
  void Stop(const std::string&) override {
    calls.push_back("stop");
    std::move(setup.on_done)(absl::CancelledError("stopped"));
  }

  std::vector<std::string> calls;
  absl::Status begin_status;
  Setup setup;
};

class SessionOfAPeerTest : public CoordinatorSessionTest {
 protected:
  SessionOfAPeerTest() { peer_host_ = &host_; }

  v1::ServerMessage Gossip() {
    v1::ServerMessage message = Registered();
    message.mutable_registered()->mutable_config()->mutable_gossip();
    return message;
  }
  void Members(const std::string& address) {
    v1::ServerMessage message;
    message.mutable_membership()->add_member()->set_name("ann");
    message.mutable_membership()->mutable_member(0)->set_address(address);
    Receive(message);
  }
  // To the point where the peer's Begin is to be run.
  void Gather() {
    Start();
    Receive(Gossip());
    Work();  // makes the trainer
    Work();  // listens
    Members("me:1");
  }

  FakePeerHost host_;
};

TEST_F(SessionOfAPeerTest, BringsItsPeerWhatItNeedsAndTellsWhatItDid) {
  Gather();
  EXPECT_THAT(transport_.sent[0].register_().features(), ElementsAre("gossip"));
  EXPECT_EQ(last_sent().register_().peer_address(), "me:1");
  Work();
  EXPECT_THAT(host_.calls, ElementsAre("listen, a:1", "begin"));
  EXPECT_EQ(host_.setup.name, "ann");
  EXPECT_EQ(host_.setup.incarnation, 7u);
  EXPECT_EQ(host_.setup.registered.run_id(), 42u);
  EXPECT_EQ(host_.setup.membership.member_size(), 1);
  ASSERT_NE(host_.setup.trainer, nullptr);
  v1::PeerReport report;
  report.set_round(1);
  host_.setup.on_report(report);
  Settle();
  EXPECT_EQ(last_sent().peer_reports().report(0).round(), 1);
  v1::PeerDone done;
  done.set_model_hash(5);
  std::move(host_.setup.on_done)(done);
  Settle();
  EXPECT_EQ(last_sent().peer_done().model_hash(), 5u);
  v1::ServerMessage goodbye;
  goodbye.mutable_goodbye()->set_run_over(true);
  Receive(goodbye);
  ASSERT_TRUE(done_);
  EXPECT_OK(*done_);
}

TEST_F(SessionOfAPeerTest, AddressesThatChangeWhileItBeginsAreNotLost) {
  Gather();
  Members("me:2");
  Work();
  EXPECT_THAT(host_.calls, ElementsAre("listen, a:1", "begin", "update me:2"));
  Members("me:3");
  EXPECT_EQ(host_.calls.back(), "update me:3");
}

TEST_F(SessionOfAPeerTest, AStopStopsThePeerAndWaitsForIt) {
  Gather();
  Work();
  session_->Stop("enough");
  Settle();
  Advance(absl::Seconds(1));
  EXPECT_EQ(host_.calls.back(), "stop");
  ASSERT_TRUE(done_);
  EXPECT_OK(*done_);
}

TEST_F(SessionOfAPeerTest, AStopBeforeItHasBegunLeavesNothingBehind) {
  Gather();
  session_->Stop("enough");
  Settle();
  Advance(absl::Seconds(1));
  Work();  // was under way
  EXPECT_EQ(host_.calls.back(), "stop");
  ASSERT_TRUE(done_);
}

TEST_F(SessionOfAPeerTest, APeerThatCannotBeginEndsTheSession) {
  host_.begin_status = absl::InvalidArgumentError("no such graph");
  Gather();
  Work();
  Advance(absl::Seconds(1));
  ASSERT_TRUE(done_);
  EXPECT_THAT(*done_, StatusIs(absl::StatusCode::kInvalidArgument, "graph"));
}

TEST_F(SessionOfAPeerTest, WithoutAPeersHostItSaysThatItCannot) {
  peer_host_ = nullptr;
  Start();
  EXPECT_TRUE(transport_.sent[0].register_().features().empty());
  Receive(Gossip());  // of a coordinator that does not look at them
  Work();
  Advance(absl::Seconds(1));
  ASSERT_TRUE(done_);
  EXPECT_THAT(*done_, StatusIs(absl::StatusCode::kFailedPrecondition,
                               "which this client cannot do"));
}

}  // namespace
}  // namespace parley
