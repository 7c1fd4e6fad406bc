// The pairwise machine step by step: peer b of a, b, c on a path. It takes a's
// link and a's offers, and is in doubt with it; it dials c, offers and decides.
#ifndef PARLEY_TESTS_UNIT_GOSSIP_PAIRWISE_FIXTURE_H_
#define PARLEY_TESTS_UNIT_GOSSIP_PAIRWISE_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/gossip/gossip_machine.h"
#include "client/gossip/pairwise/pairwise_machine.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/machine_steps.h"

namespace parley {

inline constexpr uint64_t kFromA = 2;  // the link that a dialled
inline constexpr absl::Duration kTimeout = absl::Seconds(15);

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

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_GOSSIP_PAIRWISE_FIXTURE_H_
