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
  void Leave(const std::string& reason) override {
    calls.push_back("leave, " + reason);
  }
  void Stop(const std::string&) override {
    calls.push_back("stop");
    if (stops_at_once) End(absl::CancelledError("stopped"));
  }
  void End(absl::StatusOr<v1::PeerDone> done) {
    std::move(setup.on_done)(std::move(done));
  }

  std::vector<std::string> calls;
  absl::Status begin_status;
  bool stops_at_once = true;
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
  void Members(const std::string& address, int64_t since = 0) {
    v1::ServerMessage message;
    message.mutable_membership()->set_epoch(since);
    message.mutable_membership()->add_member()->set_name("ann");
    message.mutable_membership()->mutable_member(0)->set_address(address);
    message.mutable_membership()->mutable_member(0)->set_since(since);
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
  EXPECT_THAT(transport_.sent[0].register_().features(),
              ElementsAre("inline", "gossip"));
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

TEST_F(SessionOfAPeerTest, AFreshPeerBeginsOnceTheDroppedOneHasEnded) {
  Gather();
  Work();
  host_.stops_at_once = false;
  auto report = host_.setup.on_report;
  Members("me:1", 3);
  EXPECT_EQ(host_.calls.back(), "stop");
  Members("me:2", 3);        // before it has ended
  report(v1::PeerReport());  // of nobody any more
  Settle();
  EXPECT_FALSE(last_sent().has_peer_reports());
  host_.End(absl::CancelledError("stopped"));
  Settle();
  Work();
  EXPECT_EQ(host_.calls.back(), "begin");
  EXPECT_EQ(host_.setup.membership.member(0).since(), 3);
  EXPECT_EQ(host_.setup.membership.member(0).address(), "me:2");
  report = host_.setup.on_report;
  report(v1::PeerReport());
  Settle();
  EXPECT_TRUE(last_sent().has_peer_reports());
  EXPECT_FALSE(done_);
  session_->Stop("enough");
  Settle();
  host_.End(absl::CancelledError("stopped"));
  Advance(absl::Seconds(1));
  ASSERT_TRUE(done_);
}

TEST_F(SessionOfAPeerTest, ItLeavesOnceItsPeerHasHandedOver) {
  Gather();
  Work();
  session_->Leave("enough");
  Settle();
  EXPECT_EQ(host_.calls.back(), "leave, enough");
  EXPECT_FALSE(last_sent().has_leave());
  Members("me:2");  // the others go on in another epoch meanwhile
  EXPECT_EQ(host_.calls.back(), "update me:2");
  host_.End(absl::CancelledError("left"));
  Settle();
  EXPECT_EQ(last_sent().leave().reason(), "enough");
  Advance(absl::Seconds(1));
  ASSERT_TRUE(done_);
  EXPECT_OK(*done_);
}

TEST_F(SessionOfAPeerTest, ALeaveWhileItsPeerBeginsIsNotLost) {
  Gather();
  session_->Leave("enough");
  Settle();
  Work();
  EXPECT_EQ(host_.calls.back(), "leave, enough");
  session_->Stop("enough");  // the second time it ends at once
  Settle();
  Advance(absl::Seconds(1));
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
  EXPECT_THAT(transport_.sent[0].register_().features(), ElementsAre("inline"));
  Receive(Gossip());  // of a coordinator that does not look at them
  Work();
  Advance(absl::Seconds(1));
  ASSERT_TRUE(done_);
  EXPECT_THAT(*done_, StatusIs(absl::StatusCode::kFailedPrecondition,
                               "which this client cannot do"));
}

}  // namespace
}  // namespace parley
