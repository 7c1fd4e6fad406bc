// The gossip machine's deadlines, and when the next one is.
#include <algorithm>

#include "client/gossip/gossip_machine.h"

namespace parley {

void GossipMachine::CheckDeadlines() {
  dialer_.CheckDeadlines(now_);
  if (phase_ != Phase::kRound || !prepared_) return;
  for (Edge& edge : edges_) {
    if (now_ >= DeadlineOf(edge)) FailEdge(edge, "it was too late");
  }
  if (average_ && !average_->over &&
      now_ >= average_->moved + 2 * options_.edge_timeout) {
    FailAverage("it took too long");
  }
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
  return n.up ? moved : std::min(moved, n.since + options_.edge_timeout);
}

void GossipMachine::ReportWaiting() {
  if (phase_ == Phase::kOver || now_ < next_report_) return;
  next_report_ = now_ + Dialer::kReportEvery;
  if (phase_ != Phase::kJoining && phase_ != Phase::kIsolated) return;
  Say(LogLevel::kInfo, dialer_.Waiting());
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
        at = std::min(at, average_->moved + 2 * options_.edge_timeout);
      }
    }
    if (phase_ == Phase::kJoining) {
      at = std::min(at, phase_since_ + StartWait());
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
    if (phase_ == Phase::kJoining || phase_ == Phase::kIsolated) {
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
