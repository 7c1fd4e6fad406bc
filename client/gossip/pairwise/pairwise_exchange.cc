// The pairwise machine's exchanges: who offers, who takes, what moves, and what
// becomes of it.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/gossip/pairwise/pairwise_machine.h"

namespace parley {

using Stage = pairwise_parts::Exchange::Stage;

v1::PeerStep PairwiseMachine::StepOf(int64_t number) const {
  v1::PeerStep step;
  step.set_epoch(options_.hello.epoch());
  step.set_round(number);
  step.set_use(v1::EXCHANGE);
  return step;
}

bool PairwiseMachine::IsExchange(int peer, const v1::PeerStep& step) const {
  return exchange_ && exchange_->peer == peer &&
         SameStep(step, StepOf(exchange_->number));
}

// ----------------------------------------------------------------- messages

void PairwiseMachine::OnMessage(int peer, const v1::PeerMessage& message) {
  Neighbour& n = neighbours_[peer];
  n.heard = now_;
  switch (message.kind_case()) {
    case v1::PeerMessage::kReady:
      OthersBegan();
      return OnReady(peer, message.ready().step());
    case v1::PeerMessage::kBegin:
      return OnBegin(peer, message.begin());
    case v1::PeerMessage::kReceived:
      if (!IsLower(peer) || !IsExchange(peer, message.received().step())) {
        return;
      }
      exchange_->received = true;
      exchange_->moved = now_;
      return Commit();
    case v1::PeerMessage::kDecision:
      return OnDecision(peer, message.decision());
    case v1::PeerMessage::kSettle:
      return OnSettle(peer, message.settle());
    case v1::PeerMessage::kPairing:
      OthersBegan();
      return OnPairing(peer, message.pairing().kind());
    case v1::PeerMessage::kLeave:
      n.left = true;
      // What it decided it has said before.
      if (exchange_ && exchange_->peer == peer) exchange_->whole = false;
      return LoseLink(peer, message.leave().reason());
    case v1::PeerMessage::kGoodbye:
      return LoseLink(peer, message.goodbye().reason());
    default:
      return;  // End, which PayloadEnded tells; kinds of a newer version
  }
}

// An offer, or that this peer's is taken.
void PairwiseMachine::OnReady(int peer, const v1::PeerStep& step) {
  Neighbour& n = neighbours_[peer];
  if (!n.drawn || !SameStep(step, StepOf(step.round()))) {
    return LoseLink(peer, "it is ready for what is not expected");
  }
  if (IsLower(peer)) {
    if (!IsExchange(peer, step) || exchange_->stage != Stage::kOffered) {
      return LoseLink(peer, absl::StrCat("it takes offer ", step.round(),
                                         ", which does not stand"));
    }
    exchange_->stage = Stage::kMoving;
    exchange_->moved = now_;
    preparing_ = true;
    return Do(gossip_effect::Prepare{std::min(step_, options_.rounds)});
  }
  if (n.doubt || step.round() <= n.decided || n.offered > 0 ||
      (exchange_ && exchange_->peer == peer &&
       exchange_->stage != Stage::kClosing)) {
    return LoseLink(peer, absl::StrCat("it offers exchange ", step.round(),
                                       " after ", n.decided));
  }
  n.offered = step.round();
  queue_.Add(peer);
  if (exchange_) SendPairing(peer, v1::PeerPairing::WAIT);
}

void PairwiseMachine::OnBegin(int peer, const v1::PeerBegin& begin) {
  if (begin.schedule_hash() != options_.hello.schedule_hash()) {
    return LoseLink(peer, "it mixes by another schedule");
  }
  if (!IsExchange(peer, begin.step()) || exchange_->stage != Stage::kMoving ||
      exchange_->begun) {
    return LoseLink(peer,
                    absl::StrCat("it sends for exchange ", begin.step().round(),
                                 " what is not expected now"));
  }
  if (begin.weight() != 1) {
    return LoseLink(peer,
                    absl::StrCat("its payload's weight is ", begin.weight()));
  }
  exchange_->begun = true;
  exchange_->moved = now_;
}

void PairwiseMachine::On(const gossip_event::PayloadEnded& event) {
  const int peer = dialer_.PeerOf(event.link);
  if (peer < 0) return;
  if (!event.status.ok()) {
    return LoseLink(
        peer, absl::StrCat("its payload is refused: ", event.status.message()));
  }
  if (!exchange_ || exchange_->peer != peer || !exchange_->begun ||
      exchange_->stage != Stage::kMoving || exchange_->whole) {
    return;
  }
  neighbours_[peer].heard = now_;
  exchange_->whole = true;
  exchange_->moved = now_;
  if (IsLower(peer)) return Commit();
  v1::PeerMessage message;
  *message.mutable_received()->mutable_step() = StepOf(exchange_->number);
  Send(peer, std::move(message));
}

void PairwiseMachine::OnDecision(int peer, const v1::PeerDecision& decision) {
  if (IsLower(peer)) return LoseLink(peer, "it decides what it has no say in");
  Neighbour& n = neighbours_[peer];
  if (!IsExchange(peer, decision.step()) || !decision.committed() ||
      exchange_->stage != Stage::kMoving || !exchange_->whole) {
    return LoseLink(
        peer, absl::StrCat("it decides on exchange ", decision.step().round(),
                           ", which is not complete"));
  }
  n.committed = n.decided = exchange_->number;
  EndExchange(true);
}

void PairwiseMachine::OnSettle(int peer, const v1::PeerSettle& settle) {
  if (IsLower(peer) || settle.use() != v1::EXCHANGE) return;
  Neighbour& n = neighbours_[peer];
  if (n.doubt) {
    const int64_t number = n.doubt->step.round();
    if (number > settle.decided()) {
      return LoseLink(peer, absl::StrCat("it has not decided on exchange ",
                                         number, " yet"));
    }
    Outcome(peer, number == settle.committed());
  }
  n.committed = settle.committed();
  n.decided = settle.decided();
}

void PairwiseMachine::Outcome(int peer, bool committed) {
  const Doubt doubt = *std::exchange(neighbours_[peer].doubt, std::nullopt);
  Do(gossip_effect::Settle{peer, doubt.step, committed, 1});
}

void PairwiseMachine::OnPairing(int peer, v1::PeerPairing::Kind kind) {
  Neighbour& n = neighbours_[peer];
  const bool offered = exchange_ && exchange_->peer == peer &&
                       exchange_->stage == Stage::kOffered;
  switch (kind) {
    case v1::PeerPairing::ASK:
      if (!n.drawn || !IsLower(peer)) {
        return LoseLink(peer, "it asks whom it is to offer");
      }
      if (offered) return;  // it has not seen the offer yet
      queue_.Add(peer);
      if (exchange_) SendPairing(peer, v1::PeerPairing::WAIT);
      return;
    case v1::PeerPairing::WITHDRAW:
      if (IsLower(peer)) return;
      if (exchange_ && exchange_->peer == peer &&
          exchange_->stage == Stage::kMoving) {
        return LoseLink(peer, "it withdraws what was taken");
      }
      n.offered = 0;
      return queue_.Remove(peer);
    case v1::PeerPairing::DONE:
      n.done = true;
      if (IsLower(peer) && !(want_ && want_->peer == peer)) queue_.Remove(peer);
      return;
    case v1::PeerPairing::ALL_DONE:
      if (!OnRing(peer) || peer != Previous()) return;
      // Back at the first peer: all are.
      if (self_ == 0) {
        go_ |= forwarded_;
      } else {
        token_ = true;
      }
      return;
    case v1::PeerPairing::AVERAGE:
      if (!OnRing(peer) || peer != Previous()) return;
      if (!forwarded_) return LoseLink(peer, "it is ahead of its own peers");
      go_ = true;
      return;
    default:
      return;  // WAIT, which shows that it lives; kinds of a newer version
  }
}

// -------------------------------------------------------------------- wants

// The current step wants an exchange with `peer`.
void PairwiseMachine::BeginWant(int peer) {
  want_ = Want{peer, now_};
  if (!IsLower(peer)) return SendPairing(peer, v1::PeerPairing::ASK);
  if (exchange_ && exchange_->peer == peer &&
      exchange_->stage == Stage::kOffered) {
    exchange_->wanted = true;
  } else {
    queue_.Add(peer);
  }
}

void PairwiseMachine::LoseWant() {
  const int peer = want_->peer;
  want_.reset();
  lost_.insert(peer);
  if (IsLower(peer)) queue_.Remove(peer);
}

absl::Time PairwiseMachine::WantDeadline() const {
  if (exchange_ && exchange_->wanted) return absl::InfiniteFuture();
  const Neighbour& n = neighbours_.at(want_->peer);
  if (Gone(n, 1)) return now_;
  if (!n.up) return n.since + options_.edge_timeout;
  const bool asks = !IsLower(want_->peer) && n.heard <= want_->since;
  return want_->since + (asks ? 1 : kBusy) * options_.edge_timeout;
}

// ---------------------------------------------------------------- exchanges

void PairwiseMachine::StartExchange() {
  if (exchange_ || preparing_ || averages_ || go_ || phase_ == Phase::kOver) {
    return;
  }
  const std::optional<int> next = queue_.Take([this](int p) {
    const Neighbour& n = neighbours_.at(p);
    return n.up && !n.doubt && (IsLower(p) || n.offered > 0);
  });
  if (!next) return;
  const int peer = *next;
  Neighbour& n = neighbours_[peer];
  const bool lower = IsLower(peer);
  exchange_ =
      Exchange{.peer = peer,
               .number = lower ? n.decided + 1 : std::exchange(n.offered, 0),
               .stage = lower ? Stage::kOffered : Stage::kMoving,
               .wanted = want_ && want_->peer == peer,
               .since = now_,
               .moved = now_};
  const v1::PeerStep step = StepOf(exchange_->number);
  Do(gossip_effect::Arm{n.link, peer, step});
  v1::PeerMessage message;
  *message.mutable_ready()->mutable_step() = step;
  Send(peer, std::move(message));
  if (lower) return;
  preparing_ = true;
  Do(gossip_effect::Prepare{std::min(step_, options_.rounds)});
}

// What went before x was frozen for this exchange has been given up.
void PairwiseMachine::On(const gossip_event::Prepared&) {
  preparing_ = false;
  if (!exchange_ || exchange_->stage != Stage::kMoving || exchange_->prepared) {
    return;
  }
  exchange_->prepared = true;
  exchange_->moved = now_;
  const int peer = exchange_->peer;
  Do(gossip_effect::SendPayload{neighbours_[peer].link, peer,
                                StepOf(exchange_->number)});
}

// This peer decides, once each has the other's payload.
void PairwiseMachine::Commit() {
  if (exchange_->stage != Stage::kMoving || !exchange_->whole ||
      !exchange_->received) {
    return;
  }
  Neighbour& n = neighbours_[exchange_->peer];
  n.committed = n.decided = exchange_->number;
  v1::PeerMessage message;
  *message.mutable_decision()->mutable_step() = StepOf(exchange_->number);
  message.mutable_decision()->set_committed(true);
  Send(exchange_->peer, std::move(message));
  EndExchange(true);
}

// It counts, or is in doubt: the numbers are still to be taken in.
void PairwiseMachine::EndExchange(bool used) {
  const int peer = exchange_->peer;
  const v1::PeerStep step = StepOf(exchange_->number);
  exchange_->stage = Stage::kClosing;
  if (used) {
    used_.insert(peer);
    Do(gossip_effect::Fold{peer, step, 0.5, 1});
  } else {
    lost_.insert(peer);
    neighbours_[peer].doubt = Doubt{step};
    Do(gossip_effect::KeepDoubt{peer, step, 0.5});
  }
  if (std::exchange(exchange_->wanted, false)) want_.reset();
}

void PairwiseMachine::On(const gossip_event::Staged&) { exchange_.reset(); }

// Its link is gone, or it was withdrawn.
void PairwiseMachine::ExchangeLost() {
  const int peer = exchange_->peer;
  if (exchange_->stage == Stage::kClosing) return;
  if (IsLower(peer)) {
    neighbours_[peer].decided = exchange_->number;
  } else if (exchange_->whole) {
    return EndExchange(false);
  }
  if (exchange_->wanted) want_.reset();
  lost_.insert(peer);
  exchange_.reset();
}

absl::Time PairwiseMachine::ExchangeDeadline() const {
  switch (exchange_->stage) {
    case Stage::kOffered: {
      const bool lives =
          neighbours_.at(exchange_->peer).heard > exchange_->since;
      return exchange_->since + (lives ? kBusy : 1) * options_.edge_timeout;
    }
    case Stage::kMoving:
      return exchange_->moved + options_.edge_timeout;
    case Stage::kClosing:
      break;
  }
  return absl::InfiniteFuture();
}

void PairwiseMachine::CheckExchange() {
  if (exchange_ && now_ >= ExchangeDeadline()) {
    const int peer = exchange_->peer;
    if (exchange_->stage == Stage::kOffered &&
        neighbours_[peer].heard > exchange_->since) {
      SendPairing(peer, v1::PeerPairing::WITHDRAW);
      ExchangeLost();
    } else {
      LoseLink(peer, "it was too late");
    }
  }
  if (!want_ || now_ < WantDeadline()) return;
  const int peer = want_->peer;
  const Neighbour& n = neighbours_[peer];
  const bool silent = n.up && !IsLower(peer) && n.heard <= want_->since;
  LoseWant();
  if (silent) LoseLink(peer, "it does not answer");
}

}  // namespace parley
