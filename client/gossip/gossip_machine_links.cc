// The gossip machine's links: whom to reach, what is settled when two meet
// again, and what is lost with a link.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/gossip/gossip_machine.h"

namespace parley {

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
  dialer_.DialDue(now_);
}

v1::PeerMessage GossipMachine::HelloMessage(const Neighbour& to) const {
  v1::PeerMessage message;
  *message.mutable_hello() = hello_;
  const bool begun = phase_ != Phase::kNew && phase_ != Phase::kJoining &&
                     phase_ != Phase::kCopying;
  message.mutable_hello()->set_round(begun ? round_ : 0);
  message.mutable_hello()->set_met(to.earlier != 0 ? to.earlier
                                                   : to.incarnation);
  return message;
}

void GossipMachine::OnHello(uint64_t link, const v1::PeerHello& hello) {
  if (!dialer_.Fits(link, hello)) return;
  dialer_.Take(link, hello, now_);
  LinkUp(hello.index(), hello);
}

// For good, as far as each has said last, and for long enough.
bool GossipMachine::ExitIfRefused() {
  if (now_ < phase_since_ + options_.edge_timeout) return false;
  const absl::Status refused = dialer_.RefusedByAll();
  if (refused.ok()) return false;
  Exit(refused);
  return true;
}

void GossipMachine::LinkUp(int peer, const v1::PeerHello& hello) {
  Neighbour& n = neighbours_[peer];
  if (n.incarnation != 0 && n.incarnation != hello.incarnation() && n.doubt) {
    // Whoever knew is gone, and what it held with it.
    Say(LogLevel::kWarning,
        absl::StrCat(names_[peer], " was started anew: round ",
                     n.doubt->step.round(), " with it stays unsettled"));
    Outcome(n, n.doubt->step.use() == v1::FLOW);
  }
  if (n.incarnation != hello.incarnation()) n.earlier = n.incarnation;
  n.incarnation = hello.incarnation();
  n.round = 0;
  HearOfRound(&n, hello.round());
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

// Who met this peer before it went on to this round may wait for it in one that
// it has skipped.
void GossipMachine::TellOfSkippedRounds() {
  const v1::PeerUse use = options_.flows ? v1::FLOW : v1::EXCHANGE;
  const std::string why = absl::StrCat("it goes on in round ", round_);
  std::vector<int> up;
  for (const auto& [peer, n] : neighbours_) {
    if (n.up) up.push_back(peer);
  }
  for (const int peer : up) {
    Neighbour& n = neighbours_[peer];
    if (n.ready && n.ready->use() == use && n.ready->round() < round_) {
      if (options_.flows) {
        LoseLink(peer, why);
      } else {
        SendDecision(peer, *std::exchange(n.ready, std::nullopt), false, why);
      }
    } else if (options_.flows) {
      v1::PeerStep skipped = StepOf(use);
      skipped.set_round(round_ - 1);
      SendDecision(peer, skipped, false, why);
    }
  }
}

void GossipMachine::LoseLink(int peer, absl::string_view why) {
  if (dialer_.HangUp(peer)) LinkLost(peer, why);
}

void GossipMachine::LinkLost(int peer, absl::string_view why) {
  const uint64_t link = dialer_.Lost(peer, why, now_);
  neighbours_[peer].ready.reset();
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

void GossipMachine::OnSettle(int peer, const v1::PeerSettle& settle) {
  if (settle.use() == v1::AVERAGE) return HearOfAverages(settle);
  Neighbour& n = neighbours_[peer];
  if (!n.doubt || n.doubt->step.use() != settle.use()) return;
  const int64_t round = n.doubt->step.round();
  if (round > settle.decided()) {
    return LoseLink(
        peer, absl::StrCat("it has not decided on round ", round, " yet"));
  }
  Outcome(n, round == settle.committed());
}

void GossipMachine::Outcome(Neighbour& n, bool committed) {
  n.doubt->outcome = committed;
  n.settled.push_back(*std::exchange(n.doubt, std::nullopt));
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
