#include "client/gossip/pairwise/pairwise_machine.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"
#include "client/gossip/gossip_machine.h"
#include "common/base/log.h"

namespace parley {
namespace {

// Dialled links have odd numbers; these are none of the machine's that follows
// for the average.
constexpr uint64_t kLinksAfter = (uint64_t{1} << 62) + 1;

}  // namespace

PairwiseMachine::PairwiseMachine(GossipMachineOptions options,
                                 std::shared_ptr<EdgePlan> plan, uint64_t seed,
                                 Rng jitter)
    : options_(std::move(options)),
      seed_(seed),
      self_(options_.hello.index()),
      peers_(plan->peers()),
      dialer_({.hello = &options_.hello,
               .names = &options_.names,
               .neighbours = &neighbours_,
               .effects = &effects_,
               .hello_to = [this](const auto&) { return HelloMessage(); },
               .lose = [this](int peer, auto why) { LoseLink(peer, why); },
               .links_after = kLinksAfter},
              jitter),
      token_(self_ == 0) {
  PARLEY_CHECK(static_cast<int>(options_.names.size()) == peers_);
  PARLEY_CHECK(self_ >= 0 && self_ < peers_);
  PARLEY_CHECK(plan->schedule().symmetric() && plan->schedule().period() == 1);
  for (const int peer : plan->NeighboursOf(1, self_)) {
    neighbours_[peer].drawn = true;
  }
  if (options_.final_average && peers_ > 1) {
    neighbours_.try_emplace(Next());
    neighbours_.try_emplace(Previous());
  }
}

std::vector<GossipEffect> PairwiseMachine::Step(GossipEvent event,
                                                absl::Time now) {
  if (phase_ == Phase::kOver) return {};
  now_ = now;
  effects_.clear();
  std::visit([this](auto& e) { On(e); }, event);
  dialer_.CheckDeadlines(now_);
  CheckExchange();
  if (phase_ != Phase::kNew && phase_ != Phase::kOver) dialer_.DialDue(now_);
  JoinIfReady();
  Advance();
  ReportWaiting();
  SetWakeAt();
  return std::exchange(effects_, {});
}

// ------------------------------------------------------------------- events

void PairwiseMachine::On(const gossip_event::Started&) {
  if (phase_ != Phase::kNew) return;
  phase_ = Phase::kJoining;
  phase_since_ = now_;
  next_report_ = now_ + Dialer::kReportEvery;
  for (auto& [peer, n] : neighbours_) n.since = now_;
}

void PairwiseMachine::On(const gossip_event::Accepted& event) {
  dialer_.Accept(event.link, event.certificate_name, now_);
}

void PairwiseMachine::On(gossip_event::Received& event) {
  if (event.message.has_hello()) {
    return OnHello(event.link, event.message.hello());
  }
  const int peer = dialer_.PeerOf(event.link);
  if (peer >= 0) return OnMessage(peer, event.message);
  dialer_.OnEarly(event.link, event.message);
}

void PairwiseMachine::On(const gossip_event::Closed& event) {
  const int peer = dialer_.Closed(event.link);
  if (peer >= 0) LinkLost(peer, event.why.message());
}

void PairwiseMachine::On(const gossip_event::Trained& event) {
  if (!event.status.ok()) {
    TellLeaving("its training failed");
    return Exit(event.status);
  }
  trained_ = true;
}

void PairwiseMachine::On(const gossip_event::Mixed& event) {
  if (!event.status.ok()) {
    TellLeaving("its model diverged");
    return Exit(event.status);
  }
  mixing_ = false;
  used_.clear();
  lost_.clear();
  ++step_;
  if (step_ <= options_.rounds && !leaving_) return BeginStep();
  took_ = now_ - phase_since_;
  phase_ = Phase::kAnswering;
  phase_since_ = now_;
  if (leaving_) return;
  for (const auto& [peer, n] : neighbours_) {
    SendPairing(peer, v1::PeerPairing::DONE);
  }
}

void PairwiseMachine::On(const gossip_event::TimerFired& event) {
  for (const auto& [link, chunks] : event.chunks) {
    const int peer = dialer_.PeerOf(link);
    if (peer < 0 || neighbours_[peer].chunks == chunks) continue;
    neighbours_[peer].chunks = chunks;
    if (exchange_ && exchange_->peer == peer) exchange_->moved = now_;
  }
}

void PairwiseMachine::On(const gossip_event::MembershipChanged& event) {
  // Of this epoch: a peer is elsewhere, which the driver knows.
  if (event.membership.epoch <= options_.hello.epoch()) return;
  if (std::exchange(frozen_told_, true)) return;
  Say(LogLevel::kWarning,
      "the membership changes, which ad_psgd knows nothing of: it goes on with "
      "the peers that it began with");
}

// It ends the step that it is in, and what is in doubt.
void PairwiseMachine::On(const gossip_event::LeaveRequested& event) {
  if (phase_ < Phase::kSteps || leaving_) {
    TellLeaving(event.reason);
    return Exit(absl::OkStatus());
  }
  leaving_ = event.reason;
}

void PairwiseMachine::On(const gossip_event::StopRequested& event) {
  TellLeaving(event.reason);
  Exit(absl::OkStatus());
}

// -------------------------------------------------------------------- steps

// One that was started anew, or finds that others have begun, does not wait for
// the dead, nor for those that are done.
absl::Time PairwiseMachine::BeginsBy() const {
  const absl::Duration gone =
      GossipMachine::kAloneAfter * options_.edge_timeout;
  const absl::Duration wait =
      anew_ ? std::min(options_.start_wait, gone) : options_.start_wait;
  return dialer_.BeginsBy(std::min(phase_since_ + wait, others_began_ + gone),
                          gone);
}

void PairwiseMachine::OthersBegan() {
  if (phase_ == Phase::kJoining) others_began_ = std::min(others_began_, now_);
}

void PairwiseMachine::JoinIfReady() {
  if (phase_ != Phase::kJoining) return;
  if (now_ >= phase_since_ + options_.edge_timeout) {
    const absl::Status refused = dialer_.RefusedByAll();
    if (!refused.ok()) return Exit(refused);
  }
  if (now_ < BeginsBy()) return;
  dialer_.BeginRun();
  phase_ = Phase::kSteps;
  phase_since_ = now_;
  BeginStep();
}

void PairwiseMachine::BeginStep() {
  trained_ = false;
  Do(gossip_effect::Train{step_});
  if (const std::optional<int> peer = Draw()) BeginWant(*peer);
}

// One of the graph's, evenly; where that is gone, one of those that are not.
std::optional<int> PairwiseMachine::Draw() const {
  std::vector<int> all, there;
  for (const auto& [peer, n] : neighbours_) {
    if (!n.drawn) continue;
    all.push_back(peer);
    if (!Gone(n, 1)) there.push_back(peer);
  }
  if (there.empty()) return std::nullopt;
  Rng rng(seed_, options_.hello.name(), step_, "pair");
  const int drawn = all[rng.Below(all.size())];
  if (std::find(there.begin(), there.end(), drawn) != there.end()) return drawn;
  return there[rng.Below(there.size())];
}

void PairwiseMachine::Advance() {
  if (phase_ == Phase::kNew || phase_ == Phase::kOver) return;
  if (phase_ == Phase::kSteps && trained_ && !want_ && !mixing_) {
    mixing_ = true;
    Do(gossip_effect::Mix{step_});
  }
  StartExchange();
  AdvanceEnd();
}

// ------------------------------------------------------------------ the end

// That all are done goes round the ring of all peers, from the first one on;
// then that the average begins. Where the ring is broken there is no average.
void PairwiseMachine::AdvanceEnd() {
  if (phase_ != Phase::kAnswering || exchange_ || preparing_) return;
  const absl::Duration patience = kPatience * (took_ + options_.edge_timeout);
  const bool late = now_ >= phase_since_ + patience;
  bool doubts = false, all_done = true;
  for (const auto& [peer, n] : neighbours_) {
    doubts |= n.doubt.has_value();
    // Who is up has been told what was decided.
    all_done &= Gone(n, 2) || (n.up && n.done && !n.doubt);
  }
  if (leaving_) {
    if (doubts && !late) return;
    TellLeaving(*leaving_);
    return Exit(absl::OkStatus());
  }
  bool ring = options_.final_average;
  if (ring && peers_ > 1) {
    ring = !late && !Gone(neighbours_[Next()], 2) &&
           !Gone(neighbours_[Previous()], 2);
  }
  if (ring && !doubts) {
    if (peers_ == 1 || go_) {
      if (Next() != 0) SendPairing(Next(), v1::PeerPairing::AVERAGE);
      phase_ = Phase::kOver;
      averages_ = true;
      return;
    }
    if (token_ && !forwarded_ && neighbours_[Next()].up) {
      forwarded_ = true;
      SendPairing(Next(), v1::PeerPairing::ALL_DONE);
    }
  }
  if (ring || !(all_done || late)) return;
  if (late && !all_done) {
    Say(LogLevel::kWarning,
        "ends: its neighbours have taken too long with their steps");
  }
  TellLeaving("it has done all rounds");
  Exit(absl::OkStatus());
}

void PairwiseMachine::TellLeaving(absl::string_view reason) {
  v1::PeerMessage message;
  message.mutable_leave()->set_reason(std::string(reason));
  for (const auto& [peer, n] : neighbours_) Send(peer, message);
}

void PairwiseMachine::Exit(absl::Status status) {
  if (phase_ == Phase::kOver) return;
  phase_ = Phase::kOver;
  Do(gossip_effect::Exit{std::move(status)});
}

int64_t PairwiseMachine::committed(int peer) const {
  const auto it = neighbours_.find(peer);
  return it == neighbours_.end() ? 0 : it->second.committed;
}

std::optional<int64_t> PairwiseMachine::doubt(int peer) const {
  const auto it = neighbours_.find(peer);
  if (it == neighbours_.end() || !it->second.doubt) return std::nullopt;
  return it->second.doubt->step.round();
}

// --------------------------------------------------------------------- time

void PairwiseMachine::SetWakeAt() {
  wake_at_ = absl::InfiniteFuture();
  if (phase_ == Phase::kOver) return;
  const auto wake = [this](absl::Time at) {
    if (at > now_) wake_at_ = std::min(wake_at_, at);
  };
  wake(dialer_.WakeAt());
  for (const auto& [peer, n] : neighbours_) {
    if (phase_ == Phase::kAnswering && !n.up) {
      wake(n.since + 2 * options_.edge_timeout);
    }
  }
  if (exchange_) wake(ExchangeDeadline());
  if (want_) wake(WantDeadline());
  if (phase_ == Phase::kJoining) {
    wake(phase_since_ + options_.edge_timeout);
    wake(BeginsBy());
    wake(next_report_);
  }
  if (phase_ == Phase::kAnswering) {
    wake(phase_since_ + kPatience * (took_ + options_.edge_timeout));
  }
}

void PairwiseMachine::Say(LogLevel level, std::string text) {
  Do(gossip_effect::Say{level, std::move(text)});
}

}  // namespace parley
