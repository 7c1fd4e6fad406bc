#include "client/gossip/gossip_machine.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"

namespace parley {

GossipMachine::GossipMachine(GossipMachineOptions options,
                             std::shared_ptr<EdgePlan> plan, Rng jitter)
    : GossipMachineState(std::move(options), std::move(plan)),
      dialer_({.hello = &hello_,
               .names = &names_,
               .neighbours = &neighbours_,
               .effects = &effects_,
               .hello_to = [this](const auto& n) { return HelloMessage(n); },
               .lose = [this](int peer, auto why) { LoseLink(peer, why); },
               .links_after = 1,
               .epochs = true},
              jitter) {}

std::vector<GossipEffect> GossipMachine::Step(GossipEvent event,
                                              absl::Time now) {
  if (phase_ == Phase::kOver) return {};
  now_ = now;
  effects_.clear();
  std::visit([this](auto& e) { On(e); }, event);
  CheckDeadlines();
  DialDue();
  JoinIfReady();
  Advance();
  FinishIfDone();
  ReportWaiting();
  SetWakeAt();
  return std::exchange(effects_, {});
}

// ------------------------------------------------------------------- events

void GossipMachine::On(const gossip_event::Started&) {
  if (phase_ != Phase::kNew) return;
  phase_ = Phase::kJoining;
  phase_since_ = now_;
  next_report_ = now_ + Dialer::kReportEvery;
  TendLinks();
}

void GossipMachine::On(const gossip_event::Accepted& event) {
  dialer_.Accept(event.link, event.certificate_name, now_);
}

void GossipMachine::On(gossip_event::Received& event) {
  if (event.message.has_hello()) {
    return OnHello(event.link, event.message.hello());
  }
  const int peer = dialer_.PeerOf(event.link);
  if (peer >= 0) return OnMessage(peer, event.message);
  dialer_.OnEarly(event.link, event.message);
}

void GossipMachine::OnMessage(int peer, v1::PeerMessage& message) {
  Neighbour& n = neighbours_[peer];
  if (Edge* edge = EdgeOf(peer)) edge->moved = now_;
  if (average_ && (peer == Next() || peer == Previous())) {
    average_->moved = now_;
  }
  const auto stale = [&](const v1::PeerStep& step) {
    if (step.epoch() == hello_.epoch()) return false;
    LoseLink(peer, absl::StrCat("it is in membership epoch ", step.epoch(),
                                ", this peer in ", hello_.epoch()));
    return true;
  };
  switch (message.kind_case()) {
    case v1::PeerMessage::kReady:
      if (stale(message.ready().step())) return;
      n.ready = message.ready().step();
      if (n.ready->use() != v1::COPY_MODEL) HearOfRound(&n, n.ready->round());
      if (n.ready->use() == v1::EXCHANGE && HasGivenUp(peer)) {
        // It need not wait for what this peer does not wait for any more.
        SendDecision(peer, *n.ready, false,
                     absl::StrCat("it is in round ", round_));
      }
      if (n.ready->use() == v1::FLOW && n.ready->round() < round_) {
        // A decision would be of what comes the other way.
        return LoseLink(
            peer, absl::StrCat("it is behind, in round ", n.ready->round()));
      }
      if (n.ready->use() != v1::COPY_MODEL) n.earlier = 0;
      return;
    case v1::PeerMessage::kBegin:
      if (stale(message.begin().step())) return;
      return OnBegin(peer, message.begin());
    case v1::PeerMessage::kReceived:
      if (stale(message.received().step())) return;
      if (IsNow(message.received().step(), v1::AVERAGE)) {
        if (peer == Previous()) OnToken();
      } else if (IsNow(message.received().step(), v1::EXCHANGE)) {
        Edge* edge = EdgeOf(peer);
        if (edge == nullptr || !DecidesExchange(peer)) return;
        edge->received = true;
        if (edge->in == Part::kWhole) Commit(*edge);
      }
      return;
    case v1::PeerMessage::kDecision:
      if (stale(message.decision().step())) return;
      return OnDecision(peer, message.decision());
    case v1::PeerMessage::kSettle:
      return OnSettle(peer, message.settle());
    case v1::PeerMessage::kLeave:
      n.left = true;
      for (Edge& edge : edges_) {
        if (edge.plan.peer == peer) FailEdge(edge, "it has left");
      }
      if (average_ && AverageMoves() &&
          (peer == Next() || peer == Previous())) {
        FailAverage(absl::StrCat(names_[peer], " has left"));
      }
      return;
    case v1::PeerMessage::kGoodbye:
      return LoseLink(peer, message.goodbye().reason());
    default:
      return;  // End, which OnPayload told; kinds of a newer version
  }
}

void GossipMachine::On(const gossip_event::PayloadEnded& event) {
  const int peer = dialer_.PeerOf(event.link);
  if (peer < 0) return;
  if (!event.status.ok()) {
    return LoseLink(
        peer, absl::StrCat("its payload is refused: ", event.status.message()));
  }
  if (event.link != armed_link_ || !armed_begun_) return;
  armed_link_ = 0;
  if (Edge* edge = EdgeOf(peer)) edge->moved = now_;
  OnPayload(peer);
}

void GossipMachine::On(const gossip_event::Closed& event) {
  const int peer = dialer_.Closed(event.link);
  if (peer >= 0) LinkLost(peer, event.why.message());
}

void GossipMachine::On(const gossip_event::Prepared&) {
  prepared_ = true;
  for (Edge& edge : edges_) edge.moved = now_;
  if (average_) average_->moved = now_;
}

void GossipMachine::On(const gossip_event::Trained& event) {
  if (!event.status.ok()) {
    TellLeaving("its training failed");
    return Exit(event.status);
  }
  trained_ = true;
  if (options_.trains_first && phase_ == Phase::kRound) {
    Do(gossip_effect::Prepare{round_});
  }
}

void GossipMachine::On(const gossip_event::Staged&) {
  staging_busy_ = false;
  if (phase_ != Phase::kCopying || copies_) return;
  // Others may be in a later round by now.
  for (const auto& [peer, n] : neighbours_) {
    if (!n.up) continue;
    const bool waits = n.ready && n.ready->use() != v1::COPY_MODEL;
    const int64_t there = waits ? n.ready->round() : n.round;
    round_ = std::max(round_, std::min(there, LastRound()));
  }
  TendLinks();
  BeginRound();
}

void GossipMachine::On(const gossip_event::Mixed& event) {
  if (!event.status.ok()) return Exit(event.status);
  const bool leaves = LeavesAfterRound();
  edges_.clear();
  average_.reset();
  mixed_round_ = round_++;
  TendLinks();
  if (round_ > LastRound()) return Finish();
  if (leaves) {
    left_ = true;
    return Finish();
  }
  phase_ = Phase::kIsolated;
  phase_since_ = now_;
}

void GossipMachine::On(const gossip_event::TimerFired& event) {
  for (const auto& [link, chunks] : event.chunks) {
    const int peer = dialer_.PeerOf(link);
    if (peer < 0 || neighbours_[peer].chunks == chunks) continue;
    neighbours_[peer].chunks = chunks;
    if (Edge* edge = EdgeOf(peer)) edge->moved = now_;
    if (average_) average_->moved = now_;
    if (phase_ == Phase::kCopying && link == armed_link_) {
      phase_since_ = asked_since_ = now_;
    }
  }
}

void GossipMachine::On(const gossip_event::StopRequested& event) {
  TellLeaving(event.reason);
  Exit(absl::OkStatus());
}

// ------------------------------------------------------------------- rounds

void GossipMachine::JoinIfReady() {
  if (phase_ == Phase::kJoining) {
    if (EpochIsDue()) ChangeEpoch();
    if (ExitIfRefused()) return;
    const absl::Time by = BeginsBy();
    if (now_ < by) return;
    if (by == absl::InfinitePast() && !options_.joins && !anew_) {
      starts_by_ = phase_since_ + options_.start_wait;
    }
    dialer_.BeginRun();
    return BeginRun();
  }
  if (phase_ != Phase::kIsolated) return;
  if (ExitIfRefused()) return;
  // A peer that reaches nobody may be the one that is cut off: alone it would
  // run ahead of all others, so it waits for a while.
  bool any = neighbours_.empty() || next_epoch_.has_value();
  bool all_gone = true;
  for (const auto& [peer, n] : neighbours_) {
    any |= n.up && !n.left;
    all_gone &= n.left || n.refused;
  }
  if (any) alone_ = false;
  alone_ |= now_ >= phase_since_ + kAloneAfter * options_.edge_timeout;
  if (leave_ && !any && (all_gone || alone_)) {  // nobody to leave to
    left_ = true;
    return Finish();
  }
  if (any || all_gone || alone_) BeginRound();
}

// A peer of a list that stays, started anew while the others go on, comes in as
// one that joins.
void GossipMachine::BeginRun() {
  if (anew_) {
    // It may have been in the others' round before, and must not speak of it.
    averages_.speaks = false;
    round_ = std::max(round_, CurrentRound());
    if (options_.flows) {
      Do(gossip_effect::TakeNothing{});
    } else {
      copies_ = true;
    }
    TendLinks();
  }
  BeginRound();
}

void GossipMachine::BeginRound() {
  if (EpochIsDue()) {
    if (next_epoch_->self < 0) {  // it leaves, and the others know
      left_ = true;
      return Finish();
    }
    ChangeEpoch();
  }
  if (copies_ && peers_ > 1) {
    phase_ = Phase::kCopying;
    phase_since_ = now_;
    return;
  }
  phase_ = Phase::kRound;
  phase_since_ = now_;
  PerformSettlements();
  prepared_ = false;
  trained_ = false;
  used_edges_ = lost_edges_ = 0;
  edges_.clear();
  average_.reset();
  if (round_ > mixed_round_ + 1 && !IsFinal()) TellOfSkippedRounds();
  if (IsAverage(round_)) {
    average_.emplace();
    average_->moved = now_;
    average_->token = self_ == 0;
    if (peers_ == 1) {
      average_->over = true;
      averages_.committed = averages_.heard = averages_.decided = round_;
    }
  } else {
    for (const PlannedEdge& plan : plan_->EdgesOf(round_, self_)) {
      Edge edge;
      edge.plan = plan;
      edge.position = static_cast<int>(edges_.size());
      edge.in = plan.in != 0 ? Part::kWaiting : Part::kNone;
      edge.out = plan.out != 0 ? Part::kWaiting : Part::kNone;
      edge.moved = now_;
      edges_.push_back(edge);
    }
    if (leave_) BeginLastRound();
  }
  if (IsFinal() || HandsOver()) {
    trained_ = true;
    return Do(gossip_effect::Prepare{round_, /*plain=*/true});
  }
  Do(gossip_effect::Train{round_});
  if (!options_.trains_first) Do(gossip_effect::Prepare{round_});
}

void GossipMachine::PerformSettlements() {
  for (auto& [peer, n] : neighbours_) {
    for (const Doubt& doubt : std::exchange(n.settled, {})) {
      // All have one model after the last average: what comes later is written
      // off.
      if (!IsAveraged()) PerformSettlement(peer, doubt);
    }
  }
  if (averages_.doubt && averages_.doubt->outcome) {
    PerformSettlement(-1, *std::exchange(averages_.doubt, std::nullopt));
  }
}

void GossipMachine::PerformSettlement(int peer, const Doubt& doubt) {
  Do(gossip_effect::Settle{peer, doubt.step, *doubt.outcome,
                           round_ - doubt.step.round()});
}

void GossipMachine::Advance() {
  if (phase_ == Phase::kCopying) return AdvanceCopy();
  if (phase_ != Phase::kRound) return;
  ServeCopies();
  if (!prepared_) return;
  if (average_) {
    AdvanceAverage();
  } else {
    AdvanceEdges();
  }
  if (phase_ != Phase::kRound || staging_busy_ || !trained_) return;
  if (average_ ? !average_->over : !EdgesDone()) return;
  phase_ = Phase::kMixing;
  Do(gossip_effect::Mix{round_});
}

void GossipMachine::FinishIfDone() {
  if (phase_ != Phase::kFinishing) return;
  ChangeEpochAtEnd();
  if (phase_ != Phase::kFinishing) return;
  PerformSettlements();
  if (!leaves_) {
    // Before that its doubts should be over: who can end them waits for it.
    bool doubts = averages_.doubt.has_value();
    for (const auto& [peer, n] : neighbours_) {
      doubts |= n.doubt.has_value() && !IsAveraged();
    }
    if (LacksAverage() && now_ < lacks_since_ + options_.epoch_wait) {
      return TryAverageAgain();
    }
    if (doubts && now_ < phase_since_ + 2 * options_.edge_timeout) return;
    leaves_ = true;
    TellLeaving(left_ ? leave_->reason : "it has done all rounds");
  }
  for (const auto& [peer, n] : neighbours_) {
    if (now_ < GoneAt(n)) return;
  }
  Exit(absl::OkStatus());
}

void GossipMachine::TellLeaving(absl::string_view reason) {
  v1::PeerMessage message;
  message.mutable_leave()->set_reason(std::string(reason));
  for (const auto& [peer, n] : neighbours_) Send(peer, message);
}

// When a neighbour needs nothing more of this peer. Whoever has left has said
// before what it decided.
absl::Time GossipMachine::GoneAt(const Neighbour& n) const {
  if (n.left || n.refused) return absl::InfinitePast();
  // Those that go on are told all by then that they may be in doubt about.
  if (n.up) return left_ ? absl::InfinitePast() : absl::InfiniteFuture();
  return n.since + std::max(options_.edge_timeout,
                            left_ ? absl::ZeroDuration() : options_.epoch_wait);
}

void GossipMachine::Exit(absl::Status status) {
  if (phase_ == Phase::kOver) return;
  phase_ = Phase::kOver;
  Do(gossip_effect::Exit{std::move(status)});
}

void GossipMachine::Say(LogLevel level, std::string text) {
  Do(gossip_effect::Say{level, std::move(text)});
}

}  // namespace parley
