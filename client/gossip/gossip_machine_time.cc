// The gossip machine's deadlines, and when the next one is.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/gossip/gossip_machine.h"

namespace parley {

void GossipMachine::CheckDeadlines() {
  for (auto it = strangers_.begin(); it != strangers_.end();) {
    const uint64_t link = it->first;
    const bool late = now_ >= it->second.deadline;
    ++it;
    if (late) Refuse(link, "said no hello", true);
  }
  for (auto& [peer, n] : neighbours_) {
    if (n.link != 0 && !n.up && now_ >= n.since_dial + kDialTimeout) {
      LoseLink(peer, "it does not answer");
    }
  }
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
  next_report_ = now_ + kReportEvery;
  if (phase_ != Phase::kJoining && phase_ != Phase::kIsolated) return;
  std::vector<std::string> missing;
  for (const auto& [peer, n] : neighbours_) {
    if (!n.up && !n.left) missing.push_back(names_[peer]);
  }
  Say(LogLevel::kInfo,
      absl::StrCat(
          "waits for ", missing.size(), " of ", neighbours_.size(),
          " neighbours: ",
          absl::StrJoin(missing.begin(),
                        missing.begin() + std::min<size_t>(missing.size(), 5),
                        ", ")));
}

void GossipMachine::SetWakeAt() {
  absl::Time at = absl::InfiniteFuture();
  if (phase_ != Phase::kOver) {
    for (const auto& [link, stranger] : strangers_) {
      at = std::min(at, stranger.deadline);
    }
    for (const auto& [peer, n] : neighbours_) {
      if (n.link != 0 && !n.up) at = std::min(at, n.since_dial + kDialTimeout);
      if (n.link == 0 && Dials(peer) && !n.left && !n.refused) {
        at = std::min(at, n.dial_at);
      }
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
