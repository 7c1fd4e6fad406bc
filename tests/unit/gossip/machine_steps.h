// A machine of peers step by step, without any driver: peer 1 of three on a
// path, to which peer 0 dials, and which dials peer 2.
#ifndef PARLEY_TESTS_UNIT_GOSSIP_MACHINE_STEPS_H_
#define PARLEY_TESTS_UNIT_GOSSIP_MACHINE_STEPS_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "client/gossip/edge_plan.h"
#include "client/gossip/gossip_events.h"
#include "common/wire/protocol.h"

namespace parley {

namespace in = gossip_event;
namespace out = gossip_effect;

template <typename Machine>
class MachineSteps : public testing::Test {
 protected:
  MachineSteps() {
    TopologyOptions topology;
    topology.kind = "path";
    plan_ = std::make_shared<EdgePlan>(
        *Schedule::Create(topology, {.seed = 1, .epoch = 0, .peers = 3}));
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

  std::shared_ptr<EdgePlan> plan_;
  std::unique_ptr<Machine> machine_;
  absl::Time now_ = absl::UnixEpoch();
  std::vector<GossipEffect> effects_;  // of the last step
  uint64_t to2_ = 0;                   // the link to peer 2, as last dialled
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_GOSSIP_MACHINE_STEPS_H_
