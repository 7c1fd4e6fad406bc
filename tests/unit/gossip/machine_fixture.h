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
#include "common/wire/protocol.h"

namespace parley {

namespace in = gossip_event;
namespace out = gossip_effect;

constexpr uint64_t kFrom0 = 2;  // the link that peer 0 dialled

class MachineTest : public testing::Test {
 protected:
  explicit MachineTest(bool flows = false) : flows_(flows) {
    TopologyOptions topology;
    topology.kind = "path";
    plan_ = std::make_shared<EdgePlan>(
        *Schedule::Create(topology, {.seed = 1, .epoch = 0, .peers = 3}));
    MakeMachine();
  }

  void MakeMachine() {
    GossipMachineOptions options;
    options.hello = HelloOf(1);
    options.names = {"a", "b", "c"};
    options.rounds = rounds_;
    options.flows = flows_;
    options.final_average = epoch_wait_ > absl::ZeroDuration();
    options.epoch_wait = epoch_wait_;
    machine_ =
        std::make_unique<GossipMachine>(options, plan_, Rng(1, "jitter"));
  }

  v1::PeerHello HelloOf(int index) {
    v1::PeerHello hello;
    hello.set_protocol_version(kProtocolVersion);
    hello.set_run("r");
    hello.set_run_id(77);
    hello.set_spec_hash(88);
    hello.set_name(std::string(1, static_cast<char>('a' + index)));
    hello.set_index(index);
    hello.set_incarnation(index + 10);
    hello.set_schedule_hash(plan_->schedule().hash());
    hello.set_round(1);
    return hello;
  }

  void Step(GossipEvent event) {
    effects_ = machine_->Step(std::move(event), now_);
    for (const GossipEffect& effect : effects_) {
      if (const auto* dial = std::get_if<out::Dial>(&effect)) {
        to2_ = dial->link;
      }
    }
  }
  void Hear(uint64_t link, v1::PeerMessage message) {
    Step(in::Received{link, std::move(message)});
  }
  void HearHello(uint64_t link, v1::PeerHello hello) {
    v1::PeerMessage message;
    *message.mutable_hello() = std::move(hello);
    Hear(link, std::move(message));
  }
  void Pass(absl::Duration d) {
    now_ += d;
    Step(in::TimerFired{});
  }

  template <typename E>
  std::vector<E> All() const {
    std::vector<E> found;
    for (const GossipEffect& effect : effects_) {
      if (const E* e = std::get_if<E>(&effect)) found.push_back(*e);
    }
    return found;
  }
  template <typename E>
  bool Has() const {
    return !All<E>().empty();
  }
  // Messages of a kind sent over a link in the last step.
  std::vector<v1::PeerMessage> Sent(uint64_t link,
                                    v1::PeerMessage::KindCase kind) const {
    std::vector<v1::PeerMessage> found;
    for (const out::Send& send : All<out::Send>()) {
      if (send.link == link && send.message.kind_case() == kind) {
        found.push_back(send.message);
      }
    }
    return found;
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
  absl::Duration epoch_wait_;  // with an average at the end
  std::shared_ptr<EdgePlan> plan_;
  std::unique_ptr<GossipMachine> machine_;
  absl::Time now_ = absl::UnixEpoch();
  std::vector<GossipEffect> effects_;
  uint64_t to2_ = 0;  // the link to peer 2, as last dialled
};

class FlowMachineTest : public MachineTest {
 protected:
  FlowMachineTest() : MachineTest(/*flows=*/true) {}
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_GOSSIP_MACHINE_FIXTURE_H_
