// The pairwise machine step by step: peer b of a, b, c on a path. It takes a's
// link and a's offers, and is in doubt with it; it dials c, offers and decides.
#include "client/gossip/pairwise/pairwise_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/gossip/gossip_machine.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/machine_steps.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kFromA = 2;  // the link that a dialled
constexpr absl::Duration kTimeout = absl::Seconds(15);

class PairwiseTest : public MachineSteps<PairwiseMachine> {
 protected:
  PairwiseTest() {
    options_.hello = HelloOf(1);
    options_.names = {"a", "b", "c"};
    options_.rounds = 3;
    options_.final_average = false;
    options_.edge_timeout = kTimeout;
  }

  void HearPairing(uint64_t link, v1::PeerPairing::Kind kind) {
    v1::PeerMessage message;
    message.mutable_pairing()->set_kind(kind);
    Hear(link, std::move(message));
  }
  // The number of the exchange that was offered or taken in the last step; 0:
  // none was.
  int64_t ReadyFor(uint64_t link) const {
    const auto sent = Sent(link, v1::PeerMessage::kReady);
    return sent.empty() ? 0 : sent[0].ready().step().round();
  }
  bool SentPairing(uint64_t link, v1::PeerPairing::Kind kind) const {
    for (const auto& message : Sent(link, v1::PeerMessage::kPairing)) {
      if (message.pairing().kind() == kind) return true;
    }
    return false;
  }
  std::string Said() const {
    std::string said;
    for (const out::Say& say : All<out::Say>()) said += say.text + "\n";
    return said;
  }

  static v1::PeerStep StepOf(int64_t number) {
    v1::PeerStep step;
    step.set_round(number);
    step.set_use(v1::EXCHANGE);
    return step;
  }
  static v1::PeerMessage Ready(int64_t number) {
    v1::PeerMessage message;
    *message.mutable_ready()->mutable_step() = StepOf(number);
    return message;
  }
  v1::PeerMessage Begin(int64_t number) const {
    v1::PeerMessage message;
    *message.mutable_begin()->mutable_step() = StepOf(number);
    message.mutable_begin()->set_schedule_hash(plan_->schedule().hash());
    message.mutable_begin()->set_weight(1);
    return message;
  }
  static v1::PeerMessage Received(int64_t number) {
    v1::PeerMessage message;
    *message.mutable_received()->mutable_step() = StepOf(number);
    return message;
  }
  static v1::PeerMessage Decision(int64_t number, bool committed = true) {
    v1::PeerMessage message;
    *message.mutable_decision()->mutable_step() = StepOf(number);
    message.mutable_decision()->set_committed(committed);
    return message;
  }
  static v1::PeerMessage Settle(int64_t committed, int64_t decided) {
    v1::PeerMessage message;
    message.mutable_settle()->set_use(v1::EXCHANGE);
    message.mutable_settle()->set_committed(committed);
    message.mutable_settle()->set_decided(decided);
    return message;
  }
  static v1::PeerMessage Leave() {
    v1::PeerMessage message;
    message.mutable_leave()->set_reason("done");
    return message;
  }

  // Joins with a seed by which the first step wants `peer`.
  void JoinWanting(int peer) {
    for (uint64_t seed = 1; seed < 50; ++seed) {
      machine_ = std::make_unique<PairwiseMachine>(options_, plan_, seed,
                                                   Rng(1, "jitter"));
      Step(in::Started{});
      Step(in::Accepted{kFromA, ""});
      HearHello(kFromA, HelloOf(0));
      EXPECT_FALSE(Has<out::Train>()) << "c is not there";
      HearHello(to2_, HelloOf(2));
      ASSERT_TRUE(Has<out::Train>());
      const bool wants_a = SentPairing(kFromA, v1::PeerPairing::ASK);
      EXPECT_NE(wants_a, ReadyFor(to2_) == 1);
      if (wants_a == (peer == 0)) return;
    }
    FAIL() << "no seed draws peer " << peer;
  }
  // a offers, and its payload comes.
  void TakeFromA(int64_t number) {
    Hear(kFromA, Ready(number));
    ASSERT_EQ(ReadyFor(kFromA), number);
    ArriveFromA(number);
  }
  void ArriveFromA(int64_t number) {
    Step(in::Prepared{});
    ASSERT_TRUE(Has<out::SendPayload>());
    Hear(kFromA, Begin(number));
    Step(in::PayloadEnded{kFromA, absl::OkStatus()});
    ASSERT_EQ(Sent(kFromA, v1::PeerMessage::kReceived).size(), 1);
    ASSERT_FALSE(Has<out::Fold>());
  }
  void CommitWithA(int64_t number) {
    Hear(kFromA, Decision(number));
    ASSERT_EQ(All<out::Fold>().size(), 1);
    EXPECT_EQ(All<out::Fold>()[0].weight, 0.5);
    Step(in::Staged{});
  }
  // c takes what was offered, up to its payload.
  void ArriveFromC(int64_t number) {
    Hear(to2_, Ready(number));
    ASSERT_TRUE(Has<out::Prepare>());
    Step(in::Prepared{});
    ASSERT_TRUE(Has<out::SendPayload>());
    Hear(to2_, Begin(number));
    Step(in::PayloadEnded{to2_, absl::OkStatus()});
    ASSERT_FALSE(Has<out::Fold>());
  }
  void CommitWithC(int64_t number) {
    ArriveFromC(number);
    Hear(to2_, Received(number));
    ASSERT_EQ(All<out::Fold>().size(), 1);
    ASSERT_EQ(Sent(to2_, v1::PeerMessage::kDecision).size(), 1);
    Step(in::Staged{});
  }
  void ReconnectA(v1::PeerHello hello) {
    Step(in::Closed{kFromA, absl::UnavailableError("broken")});
    Step(in::Accepted{kFromA + 2, ""});
    HearHello(kFromA + 2, std::move(hello));
  }
  void ReconnectC() {
    Step(in::Closed{to2_, absl::UnavailableError("broken")});
    Pass(absl::Seconds(6));
    HearHello(to2_, HelloOf(2));
  }

  GossipMachineOptions options_;
};

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

TEST_F(PairwiseTest, RefusesWhatDoesNotFit) {
  struct Case {
    uint64_t link;
    v1::PeerMessage message;
    const char* why;
  };
  JoinWanting(0);
  TakeFromA(1);
  CommitWithA(1);
  const auto state = [this] {
    JoinWanting(0);
    TakeFromA(1);
    CommitWithA(1);
  };
  v1::PeerMessage other_epoch = Ready(2);
  other_epoch.mutable_ready()->mutable_step()->set_epoch(4);
  v1::PeerMessage other_use = Ready(2);
  other_use.mutable_ready()->mutable_step()->set_use(v1::FLOW);
  v1::PeerMessage other_schedule = Begin(2);
  other_schedule.mutable_begin()->set_schedule_hash(5);
  v1::PeerMessage ask;
  ask.mutable_pairing()->set_kind(v1::PeerPairing::ASK);
  const Case cases[] = {
      {kFromA, Ready(1), "it offers exchange 1 after 1"},
      {kFromA, other_epoch, "ready for what is not expected"},
      {kFromA, other_use, "ready for what is not expected"},
      {kFromA, Begin(2), "what is not expected now"},
      {kFromA, other_schedule, "mixes by another schedule"},
      {kFromA, Decision(2), "which is not complete"},
      {kFromA, ask, "it asks whom it is to offer"},
      {0, Ready(1), "it takes offer 1, which does not stand"},
      {0, Decision(1), "it decides what it has no say in"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    state();
    const uint64_t link = c.link == 0 ? to2_ : c.link;
    Hear(link, c.message);
    ASSERT_EQ(All<out::HangUp>().size(), 1);
    EXPECT_EQ(All<out::HangUp>()[0].link, link);
    EXPECT_THAT(Said(), HasSubstr(c.why));
  }
  state();
  Hear(kFromA, Ready(2));
  v1::PeerMessage heavy = Begin(2);
  heavy.mutable_begin()->set_weight(3);
  Hear(kFromA, heavy);
  EXPECT_THAT(Said(), HasSubstr("weight is 3"));
  state();
  Hear(kFromA, Ready(2));
  Hear(kFromA, Begin(2));
  Step(in::PayloadEnded{kFromA, absl::DataLossError("bad checksum")});
  EXPECT_THAT(Said(), HasSubstr("payload is refused: bad checksum"));
  EXPECT_EQ(All<out::HangUp>().size(), 1);
}

TEST_F(PairwiseTest, RefusesForeignersWithAReason) {
  JoinWanting(2);
  const auto refusal = [this](const v1::PeerHello& hello) -> std::string {
    Step(in::Accepted{8, ""});
    HearHello(8, hello);
    const auto goodbye = Sent(8, v1::PeerMessage::kGoodbye);
    return goodbye.empty() ? "" : goodbye[0].goodbye().reason();
  };
  v1::PeerHello hello = HelloOf(0);
  hello.set_run_id(3);
  EXPECT_THAT(refusal(hello), HasSubstr("another run"));
  hello = HelloOf(0);
  hello.set_epoch(1);
  EXPECT_THAT(refusal(hello), HasSubstr("membership epoch 1"));
  hello = HelloOf(0);
  hello.set_name("x");
  EXPECT_THAT(refusal(hello), HasSubstr("peer 0 is not x here"));
  EXPECT_THAT(refusal(HelloOf(2)), HasSubstr("the lower index dials"));
  Step(in::Accepted{8, "mallory"});
  HearHello(8, HelloOf(0));
  EXPECT_THAT(Sent(8, v1::PeerMessage::kGoodbye)[0].goodbye().reason(),
              HasSubstr("certificate is for mallory"));
  Step(in::Accepted{10, ""});
  Hear(10, Ready(1));
  EXPECT_THAT(Sent(10, v1::PeerMessage::kGoodbye)[0].goodbye().reason(),
              HasSubstr("must be a hello"));
}

TEST_F(PairwiseTest, TakesLinksOfNeighboursAlone) {
  options_.hello = HelloOf(2);
  machine_ =
      std::make_unique<PairwiseMachine>(options_, plan_, 1, Rng(1, "jitter"));
  Step(in::Started{});
  Step(in::Accepted{8, ""});
  HearHello(8, HelloOf(0));
  ASSERT_EQ(Sent(8, v1::PeerMessage::kGoodbye).size(), 1);
  EXPECT_EQ(Sent(8, v1::PeerMessage::kGoodbye)[0].goodbye().reason(),
            "they are no neighbours");
  EXPECT_TRUE(Has<out::HangUp>());
}

TEST_F(PairwiseTest, WhereNobodyTakesItItEndsAndSaysWhy) {
  machine_ =
      std::make_unique<PairwiseMachine>(options_, plan_, 1, Rng(1, "jitter"));
  Step(in::Started{});
  Step(in::Accepted{kFromA, ""});
  v1::PeerHello hello = HelloOf(0);
  hello.set_run_id(3);
  HearHello(kFromA, hello);
  v1::PeerMessage goodbye;
  goodbye.mutable_goodbye()->set_reason("it has another model");
  Hear(to2_, goodbye);
  EXPECT_THAT(Said(), HasSubstr("c refuses: it has another model"));
  EXPECT_FALSE(Has<out::Exit>());  // the right ones may still come
  EXPECT_LE(machine_->wake_at(), now_ + kTimeout);
  Pass(kTimeout);
  ASSERT_EQ(All<out::Exit>().size(), 1);
  EXPECT_THAT(All<out::Exit>()[0].status,
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "c: it has another model"));
}

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
