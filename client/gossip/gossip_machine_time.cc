// The gossip machine's deadlines, and when the next one is.
#include <algorithm>

#include "client/gossip/gossip_machine.h"

namespace parley {

void GossipMachine::CheckDeadlines() {
  dialer_.CheckDeadlines(now_);
  if (IsStarting() && now_ >= StartBreaksAt()) others_began_ = now_;
  if (phase_ != Phase::kRound || !prepared_) return;
  for (Edge& edge : edges_) {
    if (now_ >= DeadlineOf(edge)) FailEdge(edge, "it was too late");
  }
  if (average_ && !average_->over && now_ >= DeadlineOf(*average_)) {
    FailAverage("it took too long");
  }
}

// When a peer begins, whoever is missing. One that nobody has met yet may be
// started at any time; but one that joins, or finds that others have begun,
// does not wait for the dead, nor for a run that is over.
absl::Time GossipMachine::BeginsBy() const {
  const absl::Duration gone = kAloneAfter * options_.edge_timeout;
  const absl::Duration wait = options_.joins || anew_
                                  ? std::min(options_.start_wait, gone)
                                  : options_.start_wait;
  return dialer_.BeginsBy(std::min(phase_since_ + wait, others_began_ + gone),
                          gone);
}

void GossipMachine::HearOfRound(Neighbour* n, int64_t round) {
  n->round = std::max(n->round, round);
  if (n->round > 1) others_began_ = std::min(others_began_, now_);
}

// When those that wait for each other to begin do so no longer: one is gone.
absl::Time GossipMachine::StartBreaksAt() const {
  absl::Time at = starts_by_;
  for (const auto& [peer, n] : neighbours_) {
    if (n.left) return absl::InfinitePast();
    if (n.up || n.refused) continue;
    at = std::min(at, n.since + kAloneAfter * options_.edge_timeout);
  }
  return at;
}

absl::Time GossipMachine::DeadlineOf(const Edge& edge) const {
  const auto done = [](Part part) {
    return part == Part::kNone || part == Part::kDone || part == Part::kFailed;
  };
  if (done(edge.in) && done(edge.out)) return absl::InfiniteFuture();
  const auto it = neighbours_.find(edge.plan.peer);
  if (it == neighbours_.end()) return now_;
  const Neighbour& n = it->second;
  if (n.left || n.refused || HasGoneOn(edge.plan.peer)) return now_;
  // The other end may wait for those before it in its own order.
  const absl::Time moved =
      edge.moved + (1 + edge.position) * options_.edge_timeout;
  if (!n.up) return std::min(moved, n.since + options_.edge_timeout);
  return IsStarting() ? std::max(moved, starts_by_) : moved;
}

absl::Time GossipMachine::DeadlineOf(const Average& average) const {
  const absl::Time moved = average.moved + 2 * options_.edge_timeout;
  const bool up =
      peers_ > 1 && neighbours_.at(Next()).up && neighbours_.at(Previous()).up;
  return up && IsStarting() ? std::max(moved, starts_by_) : moved;
}

void GossipMachine::ReportWaiting() {
  if (phase_ == Phase::kOver || now_ < next_report_) return;
  next_report_ = now_ + Dialer::kReportEvery;
  if (phase_ == Phase::kJoining || phase_ == Phase::kIsolated) {
    Say(LogLevel::kInfo, dialer_.Waiting());
  } else if (phase_ == Phase::kRound && prepared_ && IsStarting() &&
             (average_ ? !average_->over : !EdgesDone())) {
    Say(LogLevel::kInfo,
        "waits for neighbours that wait for others before the first round");
  }
}

void GossipMachine::SetWakeAt() {
  absl::Time at = absl::InfiniteFuture();
  if (phase_ != Phase::kOver) {
    at = std::min(at, dialer_.WakeAt());
    for (const auto& [peer, n] : neighbours_) {
      if (phase_ == Phase::kFinishing && GoneAt(n) > now_) {
        at = std::min(at, GoneAt(n));
      }
    }
    if (phase_ == Phase::kRound && prepared_) {
      for (const Edge& edge : edges_) at = std::min(at, DeadlineOf(edge));
      if (average_ && !average_->over) {
        at = std::min(at, DeadlineOf(*average_));
      }
    }
    if (phase_ == Phase::kJoining) {
      at = std::min(at, BeginsBy());
      if (now_ < phase_since_ + options_.edge_timeout) {
        at = std::min(at, phase_since_ + options_.edge_timeout);
      }
    }
    if (phase_ == Phase::kIsolated || phase_ == Phase::kCopying) {
      at = std::min(at, phase_since_ + kAloneAfter * options_.edge_timeout);
    }
    if (phase_ == Phase::kCopying && armed_link_ != 0) {
      at = std::min(at, asked_since_ + options_.edge_timeout);
    }
    if (IsStarting()) at = std::min(at, StartBreaksAt());
    if (phase_ == Phase::kJoining || phase_ == Phase::kIsolated ||
        IsStarting()) {
      at = std::min(at, next_report_);
    }
    if (phase_ == Phase::kFinishing && !leaves_) {
      for (const absl::Time due :
           {phase_since_ + 2 * options_.edge_timeout, phase_since_ + kTryAfter,
            lacks_since_ + options_.epoch_wait}) {
        if (now_ < due) at = std::min(at, due);
      }
    }
  }
  wake_at_ = at;
}

}  // namespace parley
