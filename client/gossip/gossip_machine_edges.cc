// The gossip machine's edges: what moves over each in a round, who decides that
// it counts, and what happens when it does not.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/gossip/gossip_machine.h"

namespace parley {
namespace {

// All peers' ω add up to as many as there are; one that is given away in each
// round, and gets nothing back, may come near to 0, but 1/ω has to be a number.
bool IsOmega(double weight) {
  return weight == 0 ||
         (weight >= std::numeric_limits<double>::min() && weight < 1e12);
}

}  // namespace

// The exchange that the other end is ready for.
bool GossipMachine::HasGivenUp(int peer) {
  const int64_t round = neighbours_[peer].ready->round();
  const Edge* const edge = EdgeOf(peer);
  return round < round_ ||
         (round == round_ && edge != nullptr && edge->in == Part::kFailed);
}

void GossipMachine::AdvanceEdges() {
  bool first = true;  // of those that still come in
  for (Edge& edge : edges_) {
    Neighbour& n = neighbours_[edge.plan.peer];
    int64_t there = n.round;  // or later
    if (n.ready && n.ready->use() != v1::COPY_MODEL) {
      there = std::max(there, n.ready->round());
    }
    if (n.up && there > round_) {
      FailEdge(edge, absl::StrCat("it is in round ", there));
    }
    if (edge.in == Part::kWaiting || edge.in == Part::kUnderway ||
        edge.in == Part::kWhole) {
      // Nothing moves over an edge that is in doubt.
      const bool free = options_.flows || !n.doubt;
      if (first && edge.in == Part::kWaiting && n.up && free &&
          !staging_busy_) {
        staging_busy_ = true;
        armed_link_ = n.link;
        armed_ = StepOf(Use());
        armed_begun_ = false;
        edge.in = Part::kUnderway;
        Do(gossip_effect::Arm{n.link, edge.plan.peer, armed_, edge.plan.in});
        v1::PeerMessage message;
        *message.mutable_ready()->mutable_step() = armed_;
        Send(edge.plan.peer, std::move(message));
      }
      first = false;
    }
    if (edge.out == Part::kWaiting && n.up && n.ready &&
        SameStep(*n.ready, StepOf(Use())) && !n.doubt) {
      edge.out = Part::kUnderway;
      n.ready.reset();
      Do(gossip_effect::SendPayload{n.link, edge.plan.peer, StepOf(Use()),
                                    HandsOver() ? leave_->scale : 1});
    }
    // Whoever declines a round takes part in no earlier one either.
    if (edge.out == Part::kWaiting && n.declined &&
        n.declined->use() == Use() && n.declined->round() >= round_) {
      edge.out = Part::kFailed;
      Lose(edge);
    }
  }
}

void GossipMachine::OnBegin(int peer, const v1::PeerBegin& begin) {
  if (begin.schedule_hash() != hello_.schedule_hash()) {
    return LoseLink(peer, "it mixes by another schedule");
  }
  if (neighbours_[peer].link != armed_link_ ||
      !SameStep(begin.step(), armed_) || armed_begun_) {
    return LoseLink(peer,
                    absl::StrCat("it sends for round ", begin.step().round(),
                                 " what is not expected now"));
  }
  if (options_.flows ? !IsOmega(begin.weight()) : begin.weight() != 1) {
    return LoseLink(peer,
                    absl::StrCat("its payload's weight is ", begin.weight()));
  }
  // 0 means 1.
  const double scale = begin.scale() == 0 ? 1 : begin.scale();
  if (!(scale >= 1 && scale <= MostScale(peer))) {
    return LoseLink(peer, absl::StrCat("it gives away ", scale,
                                       " times what the schedule says"));
  }
  armed_begun_ = true;
  armed_omega_ = begin.weight();
  armed_scale_ = scale;
}

// The payload that was armed is here.
void GossipMachine::OnPayload(int peer) {
  if (armed_.use() == v1::COPY_MODEL) {
    if (!copies_) {
      staging_busy_ = false;
      return;
    }
    copies_ = false;
    return Do(gossip_effect::TakeModel{});
  }
  if (armed_.use() == v1::AVERAGE) {
    if (!average_ || average_->over) {
      staging_busy_ = false;
      return;
    }
    average_->moved = now_;
    average_->in = Part::kWhole;
    Do(gossip_effect::Fold{peer, armed_, 1, armed_omega_});
    return;
  }
  Edge* edge = EdgeOf(peer);
  if (edge == nullptr || edge->in != Part::kUnderway) {
    staging_busy_ = false;
    return;
  }
  edge->omega = armed_omega_;
  edge->scale_in = armed_scale_;
  if (options_.flows) return Commit(*edge);
  edge->in = Part::kWhole;
  if (DecidesExchange(peer)) {
    if (edge->received) Commit(*edge);
    return;
  }
  v1::PeerMessage message;
  *message.mutable_received()->mutable_step() = armed_;
  Send(peer, std::move(message));
}

// This peer decides: what came counts and, of an exchange, what went.
void GossipMachine::Commit(Edge& edge) {
  Neighbour& n = neighbours_[edge.plan.peer];
  n.committed = n.decided = round_;
  edge.in = Part::kDone;
  if (!options_.flows) edge.out = Part::kDone;
  ++used_edges_;
  SendDecision(edge.plan.peer, StepOf(Use()), true, "");
  Do(gossip_effect::Fold{edge.plan.peer, StepOf(Use()),
                         edge.plan.in * edge.scale_in, edge.omega});
}

void GossipMachine::OnDecision(int peer, const v1::PeerDecision& decision) {
  const v1::PeerStep& step = decision.step();
  if (step.use() == v1::AVERAGE) {
    return OnAverageDecision(decision.committed(), step);
  }
  if (step.use() != Use()) return;
  Neighbour& n = neighbours_[peer];
  if (n.doubt && n.doubt->step.round() == step.round()) {
    return Outcome(n, decision.committed());
  }
  if (options_.flows && !decision.committed()) {
    n.declined = step;  // perhaps of a round to come
    return;
  }
  Edge* edge = EdgeOf(peer);
  if (edge == nullptr || !IsNow(step, Use())) return;
  if (!decision.committed()) {
    return FailEdge(*edge, absl::StrCat("it says: ", decision.reason()));
  }
  if (options_.flows) {
    if (edge->out != Part::kUnderway) return;
    edge->out = Part::kDone;
    Do(gossip_effect::Give{peer, ShareOf(*edge)});
    return;
  }
  if (DecidesExchange(peer) || edge->in != Part::kWhole) return;
  edge->in = edge->out = Part::kDone;
  ++used_edges_;
  Do(gossip_effect::Fold{peer, step, edge->plan.in, edge->omega});
}

// Goes on without the edge. Where something is under way over the link, the
// link goes with it: what comes later cannot be mistaken then.
void GossipMachine::FailEdge(Edge& edge, absl::string_view why) {
  const int peer = edge.plan.peer;
  if (edge.in == Part::kUnderway || edge.in == Part::kWhole ||
      edge.out == Part::kUnderway) {
    if (neighbours_[peer].link != 0) return LoseLink(peer, why);
    return EdgeLinkLost(edge, why);
  }
  bool failed = false;
  for (Part* part : {&edge.in, &edge.out}) {
    failed |= *part == Part::kWaiting;
    if (*part == Part::kWaiting) *part = Part::kFailed;
  }
  if (!failed) return;
  Lose(edge);
  Neighbour& n = neighbours_[peer];
  n.decided = std::max(n.decided, round_);
  if (!options_.flows) SendDecision(peer, StepOf(Use()), false, why);
}

// The link of the edge is gone. What has not begun may still come in time.
void GossipMachine::EdgeLinkLost(Edge& edge, absl::string_view) {
  Neighbour& n = neighbours_[edge.plan.peer];
  if (options_.flows) {
    if (edge.in == Part::kUnderway) {
      edge.in = Part::kFailed;
      n.decided = round_;
      Lose(edge);
    }
    if (edge.out == Part::kUnderway) {
      EnterDoubt(edge);
      edge.out = Part::kFailed;
    }
    return;
  }
  const bool begun = edge.in == Part::kUnderway || edge.in == Part::kWhole ||
                     edge.out == Part::kUnderway;
  if (!begun) return;
  Lose(edge);
  if (DecidesExchange(edge.plan.peer)) {
    n.decided = round_;
    if (edge.in == Part::kWhole) staging_busy_ = false;
  } else if (edge.in == Part::kWhole) {
    EnterDoubt(edge);
  }
  edge.in = edge.out = Part::kFailed;
}

// Once, though both its directions may be.
void GossipMachine::Lose(Edge& edge) {
  if (!std::exchange(edge.lost, true)) ++lost_edges_;
}

void GossipMachine::EnterDoubt(Edge& edge) {
  Neighbour& n = neighbours_[edge.plan.peer];
  const double weight = options_.flows ? ShareOf(edge) : edge.plan.in;
  n.doubt = Doubt{StepOf(Use())};
  Do(gossip_effect::KeepDoubt{edge.plan.peer, n.doubt->step, weight});
}

}  // namespace parley
