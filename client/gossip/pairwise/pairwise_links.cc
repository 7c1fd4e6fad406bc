// The pairwise machine's links: what a neighbour's hello means, what is said
// when two meet again, and what is lost with a link.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/gossip/pairwise/pairwise_machine.h"

namespace parley {

// A later round than all steps have is that of the average.
v1::PeerMessage PairwiseMachine::HelloMessage() const {
  v1::PeerMessage message;
  *message.mutable_hello() = options_.hello;
  message.mutable_hello()->set_round(std::min(step_, options_.rounds));
  return message;
}

void PairwiseMachine::OnHello(uint64_t link, const v1::PeerHello& hello) {
  if (!dialer_.Fits(link, hello)) return;
  const auto it = neighbours_.find(hello.index());
  if (it == neighbours_.end()) {
    return dialer_.Refuse(link, "they are no neighbours", false);
  }
  if (hello.round() > options_.rounds) {
    // It is at the average, for which it dials anew. One that has steps to do
    // still was started anew itself, and comes too late.
    if (phase_ != Phase::kAnswering) {
      it->second.left = true;
      return dialer_.Refuse(
          link, "it is at the average of a run that goes on here", false);
    }
    go_ = true;
    return dialer_.Drop(link);
  }
  dialer_.Take(link, hello, now_);
  LinkUp(hello.index(), hello);
}

void PairwiseMachine::LinkUp(int peer, const v1::PeerHello& hello) {
  Neighbour& n = neighbours_[peer];
  if (n.incarnation != 0 && n.incarnation != hello.incarnation()) {
    if (n.doubt) {
      // Whoever knew is gone, and what it held with it.
      Say(LogLevel::kWarning,
          absl::StrCat(options_.names[peer], " was started anew: exchange ",
                       n.doubt->step.round(), " with it stays unsettled"));
      Outcome(peer, false);
    }
    n.done = false;
  }
  n.incarnation = hello.incarnation();
  n.heard = now_;
  n.chunks = 0;
  n.offered = 0;
  if (IsLower(peer)) {
    v1::PeerMessage message;
    message.mutable_settle()->set_use(v1::EXCHANGE);
    message.mutable_settle()->set_committed(n.committed);
    message.mutable_settle()->set_decided(n.decided);
    Send(peer, std::move(message));
  }
  if (phase_ == Phase::kAnswering) {
    SendPairing(peer, v1::PeerPairing::DONE);
    if (forwarded_ && peer == Next()) {
      SendPairing(peer, v1::PeerPairing::ALL_DONE);
    }
  }
  if (want_ && want_->peer == peer && !IsLower(peer)) {
    want_->since = now_;
    SendPairing(peer, v1::PeerPairing::ASK);
  }
  // Started anew, it goes on where the others are by now.
  if (phase_ == Phase::kJoining) {
    anew_ |= hello.round() > 1;
    step_ = std::clamp(hello.round(), step_, options_.rounds);
  }
}

void PairwiseMachine::LoseLink(int peer, absl::string_view why) {
  if (dialer_.HangUp(peer)) LinkLost(peer, why);
}

void PairwiseMachine::LinkLost(int peer, absl::string_view why) {
  Neighbour& n = neighbours_[peer];
  const bool over = phase_ == Phase::kAnswering && n.done;  // goes, as it may
  dialer_.Lost(peer, over ? "" : why, now_);
  n.offered = 0;
  // What the other one asked for is gone with the link; it asks again.
  if (!IsLower(peer) || !want_ || want_->peer != peer) queue_.Remove(peer);
  if (exchange_ && exchange_->peer == peer) ExchangeLost();
}

// Whether nothing is to be had of it any more, once it is down for so many edge
// timeouts.
bool PairwiseMachine::Gone(const Neighbour& n, int timeouts) const {
  return n.left || n.refused ||
         (!n.up && now_ >= n.since + timeouts * options_.edge_timeout);
}

void PairwiseMachine::Send(int peer, v1::PeerMessage message) {
  const auto it = neighbours_.find(peer);
  if (it == neighbours_.end() || !it->second.up) return;
  Do(gossip_effect::Send{it->second.link, std::move(message)});
}

void PairwiseMachine::SendPairing(int peer, v1::PeerPairing::Kind kind) {
  v1::PeerMessage message;
  message.mutable_pairing()->set_kind(kind);
  Send(peer, std::move(message));
}

void PairwiseMachine::ReportWaiting() {
  if (phase_ != Phase::kJoining || now_ < next_report_) return;
  next_report_ = now_ + Dialer::kReportEvery;
  Say(LogLevel::kInfo, dialer_.Waiting());
}

}  // namespace parley
