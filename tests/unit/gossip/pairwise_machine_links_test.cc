// What the pairwise machine refuses: of what it hears, and of who dials.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/gossip/pairwise_fixture.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

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

}  // namespace
}  // namespace parley
