// The gossip machine's membership: from one epoch to the next, and how a peer
// joins.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/gossip/gossip_machine.h"

namespace parley {
namespace {

constexpr int64_t kMostTries = 1000;  // that a peer is ahead

// Whether it can be asked for its model: one that joins, too, has none yet.
bool HasModel(const gossip_parts::Neighbour& n) {
  if (!n.up || n.left) return false;
  return n.round > 0 && !(n.ready && n.ready->use() == v1::COPY_MODEL);
}

}  // namespace

void GossipMachine::On(gossip_event::MembershipChanged& event) {
  GossipMembership& next = event.membership;
  if (next.epoch <= hello_.epoch() ||
      (next_epoch_ && next.epoch <= next_epoch_->epoch)) {
    return;
  }
  if (left_ || (phase_ == Phase::kFinishing && !LacksAverage() &&
                (next.self < 0 || !options_.final_average))) {
    return;  // it has nothing to do with it any more
  }
  next_epoch_ = std::move(next);
  if (next_epoch_->self < 0 && !leave_) {
    TellLeaving("the membership goes on without it");
    return Exit(absl::FailedPreconditionError(
        absl::StrCat("membership epoch ", next_epoch_->epoch,
                     " has no place for ", names_[self_])));
  }
}

// Whether a peer without a link does not come back in this epoch, so that it is
// not to be waited for: it is in a later one already, has no place in the next
// one, or may be in that, from its first round on.
bool GossipMachine::HasGoneOn(int peer) const {
  const auto it = neighbours_.find(peer);
  if (it != neighbours_.end() && it->second.up) return false;
  if (it != neighbours_.end() && it->second.ahead) return true;
  if (!next_epoch_) return false;
  const std::vector<std::string>& stay = next_epoch_->names;
  return EpochIsDue() ||
         std::find(stay.begin(), stay.end(), names_[peer]) == stay.end();
}

bool GossipMachine::EpochIsDue() const {
  return next_epoch_ && (IsFinal() || phase_ == Phase::kJoining ||
                         (phase_ == Phase::kCopying && copies_) ||
                         round_ >= next_epoch_->first_round);
}

// The last average failed, so that it is passed again among those who are left.
// Or it did not, and whoever is in doubt about that hears of it anew.
void GossipMachine::ChangeEpochAtEnd() {
  if (!next_epoch_ || next_epoch_->self < 0) return;
  ChangeEpoch();
  if (!LacksAverage()) return;
  leaves_ = false;
  lacks_since_ = now_;
  BeginRound();
}

// A try is a round of its own: who is behind comes to that of its neighbours.
void GossipMachine::TryAverageAgain() {
  if (now_ < phase_since_ + kTryAfter) return;
  int64_t round = round_;
  for (const int peer : {Next(), Previous()}) {
    const Neighbour& n = neighbours_[peer];
    if (!n.up || n.left) return;
    if (n.ready && n.ready->use() == v1::AVERAGE) {
      round = std::max(round, n.ready->round());
    }
  }
  round_ = std::min(round, round_ + kMostTries);
  BeginRound();
}

// Between two rounds. All links are dialled anew: who dials and who decides
// goes by the new indices. Doubts about a peer that stays go on; those about
// one that is gone end here, and what it had is written off.
void GossipMachine::ChangeEpoch() {
  GossipMembership next = *std::exchange(next_epoch_, std::nullopt);
  PerformSettlements();
  std::map<std::string, int> index_of;
  for (size_t i = 0; i < next.names.size(); ++i) {
    index_of[next.names[i]] = static_cast<int>(i);
  }
  std::vector<int> index;
  for (const std::string& name : names_) {
    const auto it = index_of.find(name);
    index.push_back(it == index_of.end() ? -1 : it->second);
  }
  std::vector<bool> begins_anew(next.names.size(), false);
  for (size_t i = 0; i < next.since.size(); ++i) {
    begins_anew[i] = next.since[i] > hello_.epoch();
  }
  // Whoever took an average that this peer is in doubt about tells it anew.
  if (averages_.doubt && next.names.size() == 1) {
    SettleAverage(false);
    PerformSettlements();
  }
  averages_.decided = 0;
  averages_.speaks = true;
  std::map<int, Neighbour> stay;
  for (auto& [peer, n] : neighbours_) {
    if (n.link != 0) Do(gossip_effect::HangUp{n.link});
    if (index[peer] < 0 && n.doubt) {
      Outcome(n, n.doubt->step.use() == v1::FLOW);
      PerformSettlements();
    }
    if (index[peer] < 0) continue;
    Neighbour& kept = stay[index[peer]];
    kept.since = now_;
    kept.incarnation = n.incarnation;
    kept.committed = n.committed;
    kept.decided = n.decided;
    kept.doubt = n.doubt;
  }
  neighbours_ = std::move(stay);
  names_ = std::move(next.names);
  plan_ = std::move(next.plan);
  self_ = next.self;
  peers_ = plan_->peers();
  hello_.set_epoch(next.epoch);
  hello_.set_index(self_);
  hello_.set_schedule_hash(plan_->schedule().hash());
  armed_link_ = 0;
  alone_ = false;
  tended_ = false;
  Do(gossip_effect::ChangeEpoch{round_, self_, std::move(index),
                                std::move(next.addresses),
                                std::move(begins_anew)});
  Say(LogLevel::kInfo,
      absl::StrCat("round ", round_, " begins membership epoch ", next.epoch,
                   ": ", peers_, " peers"));
  // Of those that stay only the new graph's are neighbours.
  std::map<int, Neighbour> all = std::exchange(neighbours_, {});
  TendLinks();
  for (auto& [peer, n] : all) {
    if (n.doubt || n.decided > 0 || neighbours_.contains(peer)) {
      neighbours_[peer] = std::move(n);
    }
  }
  DialDue();
}

// The round that its neighbours are in, as far as they have said; for a peer
// that comes late.
int64_t GossipMachine::CurrentRound() const {
  int64_t round = 0;
  for (const auto& [peer, n] : neighbours_) {
    if (!n.up) continue;
    const bool waits = n.ready && n.ready->use() != v1::COPY_MODEL;
    // Where it does not wait for this peer it has done with the round.
    round = std::max(round, waits ? n.ready->round() : n.round + 1);
  }
  return std::min(round, LastRound());
}

// For peers that join.
void GossipMachine::ServeCopies() {
  for (auto& [peer, n] : neighbours_) {
    if (!n.up || !n.ready || n.ready->use() != v1::COPY_MODEL) continue;
    const Edge* const edge = EdgeOf(peer);
    if (edge != nullptr && edge->out == Part::kUnderway) continue;
    const v1::PeerStep step = *std::exchange(n.ready, std::nullopt);
    Do(gossip_effect::SendPayload{n.link, peer, step});
  }
}

// Asks one neighbour after another for its model, until one has sent it.
void GossipMachine::AdvanceCopy() {
  if (!copies_) return;  // it has come, and is being taken
  if (EpochIsDue()) {
    // Whoever was asked hangs up, sooner or later.
    ChangeEpoch();
    staging_busy_ = false;
    phase_since_ = now_;
  }
  if (now_ >= phase_since_ + kAloneAfter * options_.edge_timeout) {
    return Exit(
        absl::UnavailableError("no peer of the run that it joins answers"));
  }
  if (staging_busy_) {
    if (now_ < asked_since_ + options_.edge_timeout &&
        !neighbours_[asked_].left) {
      return;
    }
    LoseLink(asked_, "it does not send its model");
  }
  // Round the circle, from the one that was asked last.
  auto it = neighbours_.upper_bound(asked_);
  for (size_t i = 0; i < neighbours_.size(); ++i, ++it) {
    if (it == neighbours_.end()) it = neighbours_.begin();
    if (HasModel(it->second)) return AskForModel(it->first);
  }
}

void GossipMachine::AskForModel(int peer) {
  const uint64_t link = neighbours_[peer].link;
  asked_ = peer;
  asked_since_ = now_;
  staging_busy_ = true;
  armed_link_ = link;
  armed_ = StepOf(v1::COPY_MODEL);
  armed_begun_ = false;
  Do(gossip_effect::Arm{link, peer, armed_});
  v1::PeerMessage message;
  *message.mutable_ready()->mutable_step() = armed_;
  Send(peer, std::move(message));
}

}  // namespace parley
