#include "client/gossip/gossip_machine_state.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"

namespace parley {
namespace {

// Of weights that were summed up in another order.
constexpr double kRounding = 1e-9;

}  // namespace

GossipMachineState::GossipMachineState(GossipMachineOptions options,
                                       std::shared_ptr<EdgePlan> plan)
    : options_(std::move(options)),
      hello_(options_.hello),
      names_(options_.names),
      plan_(std::move(plan)),
      self_(hello_.index()),
      peers_(plan_->peers()),
      round_(options_.first_round),
      copies_(options_.joins && !options_.flows) {
  PARLEY_CHECK(static_cast<int>(names_.size()) == peers_);
  PARLEY_CHECK(self_ >= 0 && self_ < peers_);
}

int64_t GossipMachineState::committed(int peer) const {
  const auto it = neighbours_.find(peer);
  return it == neighbours_.end() ? 0 : it->second.committed;
}

std::optional<int64_t> GossipMachineState::doubt(int peer) const {
  const std::optional<Doubt>* doubt = nullptr;
  if (peer < 0) {
    doubt = &averages_.doubt;
  } else if (const auto it = neighbours_.find(peer); it != neighbours_.end()) {
    doubt = &it->second.doubt;
  }
  if (doubt == nullptr || !*doubt) return std::nullopt;
  return (*doubt)->step.round();
}

bool GossipMachineState::IsAverage(int64_t round) const {
  return round > options_.rounds ||
         (options_.average_every > 0 && round % options_.average_every == 0);
}

// -------------------------------------------------------------------- edges

v1::PeerStep GossipMachineState::StepOf(v1::PeerUse use, int32_t step) const {
  v1::PeerStep result;
  result.set_epoch(hello_.epoch());
  result.set_round(round_);
  result.set_use(use);
  result.set_step(step);
  return result;
}

bool GossipMachineState::IsNow(const v1::PeerStep& step,
                               v1::PeerUse use) const {
  return step.use() == use && step.round() == round_ && phase_ == Phase::kRound;
}

gossip_parts::Edge* GossipMachineState::EdgeOf(int peer) {
  for (Edge& edge : edges_) {
    if (edge.plan.peer == peer) return &edge;
  }
  return nullptr;
}

bool GossipMachineState::EdgesDone() const {
  for (const Edge& edge : edges_) {
    for (const Part part : {edge.in, edge.out}) {
      if (part != Part::kNone && part != Part::kDone && part != Part::kFailed) {
        return false;
      }
    }
  }
  return true;
}

double GossipMachineState::ShareOf(const Edge& edge) const {
  return HandsOver() ? edge.plan.out * leave_->scale : edge.plan.out;
}

// The most that a flow of this round may be scaled by: 1/(1 − W_kk) of the
// sender.
double GossipMachineState::MostScale(int peer) const {
  if (!options_.flows) return 1;
  double given = 0;
  for (const PeerWeight& w : plan_->schedule().Row(round_ - 1, peer).out) {
    if (w.peer != peer) given += w.weight;
  }
  return given > 0 ? (1 + kRounding) / given : 1;
}

// ----------------------------------------------------------------- averages

bool GossipMachineState::AverageMoves() const {
  return average_->in_step < AverageSteps() ||
         average_->out_step < AverageSteps();
}

// Of averages in an earlier epoch it is only told which one was committed; one
// that nobody says so of was not.
v1::PeerMessage GossipMachineState::AveragesMessage() const {
  int64_t decided = averages_.decided;
  const std::optional<Doubt>& doubt = averages_.doubt;
  if (doubt && !doubt->outcome && doubt->step.epoch() == hello_.epoch()) {
    decided = std::min(decided, doubt->step.round() - 1);
  }
  v1::PeerMessage message;
  message.mutable_settle()->set_use(v1::AVERAGE);
  message.mutable_settle()->set_committed(averages_.heard);
  message.mutable_settle()->set_decided(decided);
  return message;
}

}  // namespace parley
