// How a peer leaves a run that goes on: after the round that it is in, and
// averages, comes a last gossip round. Where edges exchange it is one as any
// other: the peer's model has been mixed into its neighbours'. Where they give
// away the peer hands over all that it has: it takes nothing in, does not
// train, and the shares that it gives are scaled up so that nothing is left.
// What does not count at the other end it hands over in a further round, a few
// times; what it still has then is written off.
#include <utility>

#include "client/gossip/gossip_machine.h"

namespace parley {

void GossipMachine::On(const gossip_event::LeaveRequested& event) {
  const bool again = leave_.has_value();
  if (!again) leave_ = Leaving{event.reason};
  switch (phase_) {
    case Phase::kIsolated:
    case Phase::kRound:
    case Phase::kMixing:
    case Phase::kFinishing:
      if (!again) return;
      break;
    default:
      break;  // the run has not begun for it
  }
  left_ |= phase_ != Phase::kFinishing;
  TellLeaving(leave_->reason);
  Exit(absl::OkStatus());
}

// The edges of the round are planned.
void GossipMachine::BeginLastRound() {
  leave_->now = true;
  if (!options_.flows) return;
  double given = 0;
  for (Edge& edge : edges_) {
    given += edge.plan.out;
    if (edge.in == Part::kNone) continue;
    edge.in = Part::kNone;
    SendDecision(edge.plan.peer, StepOf(Use()), false, "it leaves");
  }
  leave_->scale = given > 0 ? 1 / given : 1;
}

// Whether the round that ends is the last one, since the peer leaves.
bool GossipMachine::LeavesAfterRound() {
  if (!leave_) return false;
  // Where all rounds are averages there is none to wait for.
  if (average_) return options_.average_every == 1;
  if (!leave_->now) return false;
  bool some = false, all = true;
  for (const Edge& edge : edges_) {
    some |= edge.out == Part::kDone;
    const std::optional<Doubt>& doubt = neighbours_[edge.plan.peer].doubt;
    all &= edge.out == Part::kDone || edge.out == Part::kNone ||
           (doubt && doubt->step.round() == round_);  // given, perhaps
  }
  // A share that was not taken is handed over in the next round.
  if (some && (all || !options_.flows)) return true;
  return ++leave_->tries == kLeaveTries;
}

// Nothing more to do: others may still need to hear what was decided.
void GossipMachine::Finish() {
  phase_ = Phase::kFinishing;
  if (lacks_since_ == absl::InfinitePast()) lacks_since_ = now_;
  phase_since_ = now_;
}

}  // namespace parley
