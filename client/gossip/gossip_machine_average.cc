// The gossip machine's exact averages: a ring all-reduce (Patarasuk and Yuan
// 2009), 2(m − 1) steps in which each peer sends a segment to the next. Then
// the first peer's token goes round; when it is back all hold the average, and
// the first peer commits it. Whoever has passed the token on is in doubt until
// it hears of that.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/gossip/gossip_machine.h"

namespace parley {

void GossipMachine::AdvanceAverage() {
  Average& a = *average_;
  if (a.over) return;
  if (averages_.doubt && averages_.doubt->outcome) {
    return FailAverage("an earlier one has to be settled first");
  }
  Neighbour& previous = neighbours_[Previous()];
  Neighbour& next = neighbours_[Next()];
  for (const Neighbour* n : {&previous, &next}) {
    if (n->refused || (n->left && AverageMoves())) {
      return FailAverage("a peer has left");
    }
    // Had it known that the average is committed it would have said so before.
    // The first peer alone waits for its token, and decides.
    if (!(a.forwarded && self_ == 0) && n->up && n->ready &&
        n->ready->use() != v1::COPY_MODEL && n->ready->round() > round_) {
      return FailAverage("a peer is in a later round");
    }
  }
  if (HasGoneOn(Previous()) || HasGoneOn(Next())) {
    return FailAverage("the epoch changes");
  }
  // What this step brought is folded: the next one may come.
  if (a.in == Part::kWhole && !staging_busy_) {
    a.in = Part::kWaiting;
    ++a.in_step;
  }
  if (a.in == Part::kWaiting && a.in_step < AverageSteps() && previous.up &&
      !staging_busy_) {
    a.in = Part::kUnderway;
    staging_busy_ = true;
    armed_link_ = previous.link;
    armed_ = StepOf(v1::AVERAGE, a.in_step);
    armed_begun_ = false;
    Do(gossip_effect::Arm{previous.link, Previous(), armed_});
    v1::PeerMessage message;
    *message.mutable_ready()->mutable_step() = armed_;
    Send(Previous(), std::move(message));
  }
  // A step sends what the one before it brought.
  if (a.out_step < AverageSteps() && a.out_step <= a.in_step && next.up &&
      next.ready && SameStep(*next.ready, StepOf(v1::AVERAGE, a.out_step))) {
    next.ready.reset();
    Do(gossip_effect::SendPayload{next.link, Next(),
                                  StepOf(v1::AVERAGE, a.out_step)});
    ++a.out_step;
  }
  if (a.in_step == AverageSteps() && a.out_step == AverageSteps() && a.token &&
      !a.forwarded && next.up) {
    // Whoever takes an earlier average says so before it sends a segment: it
    // would have come round by now.
    if (averages_.doubt) {
      SettleAverage(false);
      PerformSettlement(-1, *std::exchange(averages_.doubt, std::nullopt));
    }
    a.forwarded = true;
    v1::PeerMessage message;
    *message.mutable_received()->mutable_step() = StepOf(v1::AVERAGE);
    Send(Next(), std::move(message));
  }
}

// All peers before this one hold the average; of the first one: all.
void GossipMachine::OnToken() {
  if (!average_ || average_->over) return;
  if (self_ != 0) {
    average_->token = true;
  } else if (average_->forwarded) {
    EndAverage(true);
  }
}

// Both ways, so that it gets past one peer that is dead.
void GossipMachine::TellAverage(int64_t round, bool committed) {
  v1::PeerStep step = StepOf(v1::AVERAGE);
  step.set_round(round);
  SendDecision(Next(), step, committed, "");
  if (Previous() != Next()) SendDecision(Previous(), step, committed, "");
}

void GossipMachine::EndAverage(bool committed) {
  average_->over = true;
  averages_.speaks |= committed;
  if (averages_.speaks) averages_.decided = round_;
  if (committed) averages_.committed = averages_.heard = round_;
  (committed ? used_edges_ : lost_edges_) += 1;
  Do(gossip_effect::CloseAverage{committed});
  TellAverage(round_, committed);
}

void GossipMachine::OnAverageDecision(bool committed,
                                      const v1::PeerStep& step) {
  const std::optional<Doubt>& doubt = averages_.doubt;
  if (doubt && doubt->step.round() == step.round() &&
      doubt->step.epoch() == step.epoch()) {
    if (doubt->outcome) return;
    SettleAverage(committed);
    return TellAverage(step.round(), committed);
  }
  if (!average_ || average_->over || step.round() != round_) return;
  if (committed && !average_->forwarded) return;  // nobody could know
  // Whoever gives it up before it passes the token on has the last word.
  if (average_->forwarded) return EndAverage(committed);
  FailAverage("a peer gave it up");
}

// The doubt is over.
void GossipMachine::SettleAverage(bool committed) {
  const v1::PeerStep& step = averages_.doubt->step;
  averages_.doubt->outcome = committed;
  if (committed) {
    averages_.committed = step.round();
    averages_.heard = std::max(averages_.heard, step.round());
  }
  if (step.epoch() == hello_.epoch() && averages_.speaks) {
    averages_.decided = std::max(averages_.decided, step.round());
  }
}

void GossipMachine::HearOfAverages(const v1::PeerSettle& settle) {
  const bool news = settle.committed() > averages_.heard ||
                    settle.decided() > averages_.decided;
  averages_.heard = std::max(averages_.heard, settle.committed());
  averages_.decided = std::max(averages_.decided, settle.decided());
  const std::optional<Doubt>& doubt = averages_.doubt;
  const bool open = doubt && !doubt->outcome;
  if (open && doubt->step.round() == settle.committed()) {
    SettleAverage(true);
  } else {
    if (open && doubt->step.epoch() == hello_.epoch() &&
        doubt->step.round() <= settle.decided()) {
      SettleAverage(false);
    }
    if (average_ && !average_->over && round_ <= settle.decided()) {
      OnAverageDecision(round_ == settle.committed(), StepOf(v1::AVERAGE));
    }
  }
  if (!news) return;
  Send(Next(), AveragesMessage());
  if (Previous() != Next()) Send(Previous(), AveragesMessage());
}

// Goes on without the average. The links along which something moves go, too.
void GossipMachine::FailAverage(absl::string_view why) {
  Average& a = *average_;
  if (a.over) return;
  Say(LogLevel::kWarning,
      absl::StrCat("round ", round_, " goes without its exact average: ", why));
  a.over = true;  // before links are lost, which would end it again
  if (self_ != 0 && a.forwarded) {
    averages_.doubt = Doubt{StepOf(v1::AVERAGE)};
    ++lost_edges_;
    Do(gossip_effect::KeepDoubt{-1, averages_.doubt->step, 1});
    Do(gossip_effect::CloseAverage{false});
    return;
  }
  EndAverage(false);
  if (a.in == Part::kUnderway && armed_link_ != 0) LoseLink(Previous(), why);
  if (a.out_step > 0 && a.out_step < AverageSteps()) LoseLink(Next(), why);
}

}  // namespace parley
