// The gossip machine step by step: peer 1 of three on a path, which takes peer
// 0's link and dials peer 2; so it is in doubt with the one and decides with
// the other.
#ifndef PARLEY_TESTS_UNIT_GOSSIP_MACHINE_FIXTURE_H_
#define PARLEY_TESTS_UNIT_GOSSIP_MACHINE_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/gossip/gossip_machine.h"
#include "tests/unit/gossip/machine_steps.h"

namespace parley {

constexpr uint64_t kFrom0 = 2;  // the link that peer 0 dialled

class MachineTest : public MachineSteps<GossipMachine> {
 protected:
  explicit MachineTest(bool flows = false) : flows_(flows) { MakeMachine(); }

  void MakeMachine() {
    GossipMachineOptions options;
    options.hello = HelloOf(1);
    options.names = {"a", "b", "c"};
    options.rounds = rounds_;
    options.start_wait = start_wait_;
    options.flows = flows_;
    options.final_average = epoch_wait_ > absl::ZeroDuration();
    options.epoch_wait = epoch_wait_;
    machine_ =
        std::make_unique<GossipMachine>(options, plan_, Rng(1, "jitter"));
  }

  std::string RefusalOf(const v1::PeerHello& hello) {
    Step(in::Accepted{kFrom0, ""});
    HearHello(kFrom0, hello);
    const auto goodbye = Sent(kFrom0, v1::PeerMessage::kGoodbye);
    if (goodbye.empty()) return "";
    EXPECT_EQ(All<out::HangUp>().size(), 1);
    return goodbye[0].goodbye().reason();
  }

  v1::PeerStep StepOf(int64_t round, v1::PeerUse use = v1::EXCHANGE) {
    v1::PeerStep step;
    step.set_round(round);
    step.set_use(use);
    return step;
  }
  v1::PeerMessage Ready(v1::PeerStep step) {
    v1::PeerMessage message;
    *message.mutable_ready()->mutable_step() = step;
    return message;
  }
  v1::PeerMessage Begin(v1::PeerStep step) {
    v1::PeerMessage message;
    *message.mutable_begin()->mutable_step() = step;
    message.mutable_begin()->set_schedule_hash(plan_->schedule().hash());
    message.mutable_begin()->set_weight(1);
    return message;
  }
  v1::PeerMessage Received(v1::PeerStep step) {
    v1::PeerMessage message;
    *message.mutable_received()->mutable_step() = step;
    return message;
  }
  v1::PeerMessage Decision(v1::PeerStep step, bool committed) {
    v1::PeerMessage message;
    *message.mutable_decision()->mutable_step() = step;
    message.mutable_decision()->set_committed(committed);
    return message;
  }
  v1::PeerMessage Settle(v1::PeerUse use, int64_t committed, int64_t decided) {
    v1::PeerMessage message;
    message.mutable_settle()->set_use(use);
    message.mutable_settle()->set_committed(committed);
    message.mutable_settle()->set_decided(decided);
    return message;
  }

  // Both links up, and round 1 prepared and trained.
  void Begin1() {
    Step(in::Started{});
    Step(in::Accepted{kFrom0, ""});
    HearHello(kFrom0, HelloOf(0));
    HearHello(to2_, HelloOf(2));
    ASSERT_TRUE(Has<out::Train>());
    Step(in::Prepared{});
  }
  // A payload of the link that is armed comes in.
  void Arrive(uint64_t link, v1::PeerStep step) {
    Hear(link, Begin(step));
    Step(in::PayloadEnded{link, absl::OkStatus()});
  }

  const bool flows_;
  int64_t rounds_ = 10;
  absl::Duration start_wait_ = absl::InfiniteDuration();
  absl::Duration epoch_wait_;  // with an average at the end
};

class FlowMachineTest : public MachineTest {
 protected:
  FlowMachineTest() : MachineTest(/*flows=*/true) {}
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_GOSSIP_MACHINE_FIXTURE_H_
