// The gossip machine's links: dialling, hellos, what is settled when two meet
// again.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/gossip/gossip_machine.h"
#include "client/gossip/hello_check.h"

namespace parley {
namespace {

constexpr size_t kMostReasons = 5;  // that an error names

}  // namespace

// Which neighbours there should be links to. They are kept: drawn schedules
// bring ever new ones.
void GossipMachine::TendLinks() {
  const bool drawn = plan_->schedule().period() == 0;
  if (!drawn && std::exchange(tended_, true)) return;
  std::set<int> wanted =
      plan_->NeighboursOf(std::min(round_, options_.rounds), self_);
  if (peers_ > 1 && (options_.average_every > 0 || options_.final_average)) {
    wanted.insert(Next());
    wanted.insert(Previous());
  }
  for (const int peer : wanted) {
    const auto [it, added] = neighbours_.try_emplace(peer);
    if (added) it->second.since = now_;
  }
}

void GossipMachine::DialDue() {
  if (phase_ == Phase::kNew || phase_ == Phase::kOver) return;
  for (auto& [peer, n] : neighbours_) {
    if (!Dials(peer) || n.link != 0 || n.left || n.refused ||
        now_ < n.dial_at) {
      continue;
    }
    last_link_ += 2;
    n.link = last_link_;
    n.since_dial = now_;
    Do(gossip_effect::Dial{n.link, peer});
    Do(gossip_effect::Send{n.link, HelloMessage(n)});
  }
}

v1::PeerMessage GossipMachine::HelloMessage(const Neighbour& to) const {
  v1::PeerMessage message;
  *message.mutable_hello() = hello_;
  const bool begun = phase_ != Phase::kNew && phase_ != Phase::kJoining;
  message.mutable_hello()->set_round(begun ? round_ : 0);
  message.mutable_hello()->set_met(to.earlier != 0 ? to.earlier
                                                   : to.incarnation);
  return message;
}

std::string GossipMachine::WhyNot(uint64_t link,
                                  const v1::PeerHello& hello) const {
  const std::string why = WhyHelloDoesNotFit(hello_, hello, names_);
  if (!why.empty()) return why;
  const int index = hello.index();
  const auto stranger = strangers_.find(link);
  if (stranger == strangers_.end()) {
    const auto it = neighbours_.find(index);
    return it == neighbours_.end() || it->second.link != link
               ? "another peer answers at its address"
               : "";
  }
  if (Dials(index)) return "of two peers the one with the lower index dials";
  if (!stranger->second.MayBe(hello.name())) {
    return absl::StrCat("its certificate is for ",
                        stranger->second.certificate_name);
  }
  return "";
}

void GossipMachine::OnHello(uint64_t link, const v1::PeerHello& hello) {
  const bool accepted = strangers_.contains(link);
  if (!accepted) {
    bool dialling = false;
    for (const auto& [peer, n] : neighbours_) {
      dialling |= n.link == link && !n.up;
    }
    if (!dialling) return;  // of a link that is gone, or a second one
  }
  const std::string reason = WhyNot(link, hello);
  if (!reason.empty()) {
    // Another epoch may be ours soon.
    const bool retry = hello.epoch() != hello_.epoch();
    if (retry) HearOfEpoch(link, hello);
    if (accepted && !retry && strangers_[link].MayBe(hello.name())) {
      for (auto& [peer, n] : neighbours_) {
        if (names_[peer] == hello.name() && !n.up) n.refusal = reason;
      }
    }
    return Refuse(link, reason, retry);
  }
  const int peer = hello.index();
  Neighbour& n = neighbours_[peer];
  if (accepted) {
    strangers_.erase(link);
    if (n.link != 0) LoseLink(peer, "it dialled again");
    n.link = link;
    Do(gossip_effect::Send{link, HelloMessage(n)});
  }
  LinkUp(peer, link, hello);
}

// For good, as far as each has said last, and for long enough.
bool GossipMachine::IsRefusedByAll() const {
  if (neighbours_.empty() || now_ < phase_since_ + options_.edge_timeout) {
    return false;
  }
  for (const auto& [peer, n] : neighbours_) {
    if (n.up || n.refusal.empty()) return false;
  }
  return true;
}

void GossipMachine::ExitRefused() {
  std::vector<std::string> reasons;
  for (const auto& [peer, n] : neighbours_) {
    if (reasons.size() == kMostReasons) break;
    reasons.push_back(absl::StrCat(names_[peer], ": ", n.refusal));
  }
  Exit(absl::FailedPreconditionError(absl::StrCat(
      "none of its ", neighbours_.size(),
      " neighbours takes this peer: ", absl::StrJoin(reasons, "; "))));
}

void GossipMachine::Refuse(uint64_t link, absl::string_view reason,
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
    if (!retry) {
      n.refusal = std::string(reason);
      // At the begin the right one may still come in its place.
      n.refused = phase_ != Phase::kJoining;
    }
    return LoseLink(peer, reason);
  }
}

void GossipMachine::LinkUp(int peer, uint64_t link,
                           const v1::PeerHello& hello) {
  Neighbour& n = neighbours_[peer];
  if (n.incarnation != 0 && n.incarnation != hello.incarnation() && n.doubt &&
      !n.doubt->outcome) {
    // Whoever knew is gone, and what it held with it.
    Say(LogLevel::kWarning,
        absl::StrCat(names_[peer], " was started anew: round ",
                     n.doubt->step.round(), " with it stays unsettled"));
    n.doubt->outcome = n.doubt->step.use() == v1::FLOW;
  }
  if (n.incarnation != hello.incarnation()) n.earlier = n.incarnation;
  n.incarnation = hello.incarnation();
  n.hello_round = hello.round();
  n.refusal.clear();
  n.link = link;
  n.up = true;
  n.since = now_;
  n.failures = 0;
  n.left = false;
  n.chunks = 0;
  n.ready.reset();
  // In an earlier epoch it may have been this peer that decided.
  if (options_.flows || DecidesExchange(peer) || n.decided > 0) {
    v1::PeerMessage message;
    message.mutable_settle()->set_use(Use());
    message.mutable_settle()->set_committed(n.committed);
    message.mutable_settle()->set_decided(n.decided);
    Send(peer, std::move(message));
  }
  // What an earlier link lost is not asked for again: the other end need not
  // wait for that.
  const Edge* const edge = EdgeOf(peer);
  if (options_.flows && phase_ == Phase::kRound && edge != nullptr &&
      edge->in == Part::kFailed) {
    SendDecision(peer, StepOf(v1::FLOW), false, "the link broke");
  }
  if (peer == Next() || peer == Previous()) {
    v1::PeerMessage message = AveragesMessage();
    if (message.settle().committed() > 0 || message.settle().decided() > 0) {
      Send(peer, std::move(message));
    }
  }
  if (leaves_) {
    v1::PeerMessage message;
    message.mutable_leave()->set_reason(left_ ? leave_->reason
                                              : "it has done all rounds");
    Send(peer, std::move(message));
  }
  // Cut off from all, or joining, it goes on where the others are by now.
  anew_ |= phase_ == Phase::kJoining && !options_.joins && hello.round() > 0 &&
           hello.met() != 0 && hello.met() != hello_.incarnation();
  if (phase_ == Phase::kJoining ||
      (phase_ == Phase::kIsolated &&
       now_ >= phase_since_ + options_.edge_timeout)) {
    round_ = std::clamp(hello.round(), round_, std::max(round_, LastRound()));
  }
}

void GossipMachine::LoseLink(int peer, absl::string_view why) {
  const uint64_t link = neighbours_[peer].link;
  if (link == 0) return;
  Do(gossip_effect::HangUp{link});
  LinkLost(peer, why);
}

void GossipMachine::LinkLost(int peer, absl::string_view why) {
  Neighbour& n = neighbours_[peer];
  if (n.up && !n.left && !why.empty()) {
    Say(LogLevel::kWarning, absl::StrCat("lost ", names_[peer], ": ", why));
  }
  const uint64_t link = std::exchange(n.link, 0);
  if (std::exchange(n.up, false)) n.since = now_;
  n.ready.reset();
  const absl::Duration longest =
      std::min(kMaxDelay, kFirstDelay * (1 << std::min(n.failures, 10)));
  n.dial_at = now_ + longest * (0.5 + 0.5 * jitter_.Uniform());
  ++n.failures;
  const bool armed = link == armed_link_;
  if (armed) {
    armed_link_ = 0;
    staging_busy_ = false;
  }
  for (Edge& edge : edges_) {
    if (edge.plan.peer == peer) EdgeLinkLost(edge, why);
  }
  if (average_ && !average_->over &&
      (armed || average_->in_step > 0 || average_->out_step > 0) &&
      (peer == Next() || peer == Previous())) {
    FailAverage(absl::StrCat("lost ", names_[peer]));
  }
}

int GossipMachine::PeerOf(uint64_t link) const {
  for (const auto& [peer, n] : neighbours_) {
    if (n.link == link && n.up) return peer;
  }
  return -1;
}

void GossipMachine::OnSettle(int peer, const v1::PeerSettle& settle) {
  if (settle.use() == v1::AVERAGE) return HearOfAverages(settle);
  Neighbour& n = neighbours_[peer];
  if (!n.doubt || n.doubt->outcome || n.doubt->step.use() != settle.use()) {
    return;
  }
  const int64_t round = n.doubt->step.round();
  if (round > settle.decided()) {
    return LoseLink(
        peer, absl::StrCat("it has not decided on round ", round, " yet"));
  }
  Outcome(&*n.doubt, round == settle.committed());
}

void GossipMachine::Outcome(Doubt* doubt, bool committed) {
  if (!doubt->outcome) doubt->outcome = committed;
}

void GossipMachine::Send(int peer, v1::PeerMessage message) {
  const Neighbour& n = neighbours_[peer];
  if (n.up) Do(gossip_effect::Send{n.link, std::move(message)});
}

void GossipMachine::SendDecision(int peer, const v1::PeerStep& step,
                                 bool committed, absl::string_view reason) {
  v1::PeerMessage message;
  *message.mutable_decision()->mutable_step() = step;
  message.mutable_decision()->set_committed(committed);
  message.mutable_decision()->set_reason(std::string(reason));
  Send(peer, std::move(message));
}

}  // namespace parley
