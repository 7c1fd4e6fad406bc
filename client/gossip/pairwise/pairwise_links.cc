// The pairwise machine's links: dialling, hellos, what is settled when two meet
// again.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/gossip/gossip_machine.h"
#include "client/gossip/hello_check.h"
#include "client/gossip/pairwise/pairwise_machine.h"

namespace parley {

void PairwiseMachine::DialDue() {
  if (phase_ == Phase::kNew || phase_ == Phase::kOver) return;
  for (auto& [peer, n] : neighbours_) {
    if (!IsLower(peer) || n.link != 0 || n.left || n.refused ||
        now_ < n.dial_at) {
      continue;
    }
    last_link_ += 2;
    n.link = last_link_;
    n.since_dial = now_;
    Do(gossip_effect::Dial{n.link, peer});
    Do(gossip_effect::Send{n.link, HelloMessage()});
  }
}

// A later round than all steps have is that of the average.
v1::PeerMessage PairwiseMachine::HelloMessage() const {
  v1::PeerMessage message;
  *message.mutable_hello() = options_.hello;
  message.mutable_hello()->set_round(std::min(step_, options_.rounds));
  return message;
}

std::string PairwiseMachine::WhyNot(uint64_t link,
                                    const v1::PeerHello& hello) const {
  const std::string why =
      WhyHelloDoesNotFit(options_.hello, hello, options_.names);
  if (!why.empty()) return why;
  const auto it = neighbours_.find(hello.index());
  const auto stranger = strangers_.find(link);
  if (stranger == strangers_.end()) {
    return it == neighbours_.end() || it->second.link != link
               ? "another peer answers at its address"
               : "";
  }
  if (it == neighbours_.end()) return "they are no neighbours";
  if (IsLower(hello.index())) {
    return "of two peers the one with the lower index dials";
  }
  const std::string& certified = stranger->second.certificate_name;
  if (!certified.empty() && certified != hello.name()) {
    return absl::StrCat("its certificate is for ", certified);
  }
  return "";
}

void PairwiseMachine::OnHello(uint64_t link, const v1::PeerHello& hello) {
  const bool accepted = strangers_.contains(link);
  if (!accepted) {
    bool dialling = false;
    for (const auto& [peer, n] : neighbours_) {
      dialling |= n.link == link && !n.up;
    }
    if (!dialling) return;  // of a link that is gone, or a second one
  }
  const std::string reason = WhyNot(link, hello);
  if (!reason.empty()) return Refuse(link, reason, false);
  const int peer = hello.index();
  Neighbour& n = neighbours_[peer];
  if (hello.round() > options_.rounds) {
    // It is at the average, for which it dials anew. One that has steps to do
    // still was started anew itself, and comes too late.
    if (phase_ != Phase::kAnswering) {
      n.left = true;
      return Refuse(link, "it is at the average of a run that goes on here",
                    false);
    }
    go_ = true;
    if (!accepted) return LoseLink(peer, "");
    strangers_.erase(link);
    return Do(gossip_effect::HangUp{link});
  }
  if (accepted) {
    strangers_.erase(link);
    if (n.link != 0) LoseLink(peer, "it dialled again");
    n.link = link;
    Do(gossip_effect::Send{link, HelloMessage()});
  }
  LinkUp(peer, link, hello);
}

void PairwiseMachine::Refuse(uint64_t link, absl::string_view reason,
                             bool retry) {
  v1::PeerMessage message;
  message.mutable_goodbye()->set_reason(std::string(reason));
  message.mutable_goodbye()->set_retry(retry);
  Do(gossip_effect::Send{link, std::move(message)});
  if (strangers_.erase(link) > 0) {
    Say(LogLevel::kWarning, absl::StrCat("refuses a peer: ", reason));
    return Do(gossip_effect::HangUp{link});
  }
  for (auto& [peer, n] : neighbours_) {
    if (n.link != link) continue;
    // At the begin the right one may still come in its place.
    n.refused = !retry && phase_ != Phase::kJoining;
    return LoseLink(peer, reason);
  }
}

void PairwiseMachine::LinkUp(int peer, uint64_t link,
                             const v1::PeerHello& hello) {
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
  n.link = link;
  n.up = true;
  n.since = n.heard = now_;
  n.failures = 0;
  n.left = false;
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
  const uint64_t link = neighbours_[peer].link;
  if (link == 0) return;
  Do(gossip_effect::HangUp{link});
  LinkLost(peer, why);
}

void PairwiseMachine::LinkLost(int peer, absl::string_view why) {
  Neighbour& n = neighbours_[peer];
  const bool over = phase_ == Phase::kAnswering && n.done;  // goes, as it may
  if (n.up && !n.left && !over && !why.empty()) {
    Say(LogLevel::kWarning,
        absl::StrCat("lost ", options_.names[peer], ": ", why));
  }
  n.link = 0;
  if (std::exchange(n.up, false)) n.since = now_;
  const absl::Duration longest =
      std::min(GossipMachine::kMaxDelay,
               GossipMachine::kFirstDelay * (1 << std::min(n.failures, 10)));
  n.dial_at = now_ + longest * (0.5 + 0.5 * jitter_.Uniform());
  ++n.failures;
  n.offered = 0;
  // What the other one asked for is gone with the link; it asks again.
  if (!IsLower(peer) || !want_ || want_->peer != peer) Unqueue(peer);
  if (exchange_ && exchange_->peer == peer) ExchangeLost();
}

void PairwiseMachine::CheckLinks() {
  for (auto it = strangers_.begin(); it != strangers_.end();) {
    const uint64_t link = it->first;
    const bool late = now_ >= it->second.deadline;
    ++it;
    if (late) Refuse(link, "said no hello", true);
  }
  for (auto& [peer, n] : neighbours_) {
    if (n.link != 0 && !n.up &&
        now_ >= n.since_dial + GossipMachine::kDialTimeout) {
      LoseLink(peer, "it does not answer");
    }
  }
}

// Whether nothing is to be had of it any more, once it is down for so many edge
// timeouts.
bool PairwiseMachine::Gone(const Neighbour& n, int timeouts) const {
  return n.left || n.refused ||
         (!n.up && now_ >= n.since + timeouts * options_.edge_timeout);
}

int PairwiseMachine::PeerOf(uint64_t link) const {
  for (const auto& [peer, n] : neighbours_) {
    if (n.link == link && n.up) return peer;
  }
  return -1;
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
  next_report_ = now_ + GossipMachine::kReportEvery;
  std::vector<std::string> missing;
  for (const auto& [peer, n] : neighbours_) {
    if (!n.up && !n.left) missing.push_back(options_.names[peer]);
  }
  const size_t told = std::min<size_t>(missing.size(), 5);
  Say(LogLevel::kInfo,
      absl::StrCat(
          "waits for ", missing.size(), " of ", neighbours_.size(),
          " neighbours: ",
          absl::StrJoin(missing.begin(), missing.begin() + told, ", ")));
}

}  // namespace parley
