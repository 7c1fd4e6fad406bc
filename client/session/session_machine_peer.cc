// The machine's part in a gossip run: brings its peer the membership, and the
// coordinator what the peer has done. The peer itself goes on whatever becomes
// of the coordinator.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/session/session_machine.h"

namespace parley {

void SessionMachine::On(session_event::PeerListens& event) {
  if (peer_ != PeerStage::kOpening || link_ == Link::kLeaving) return;
  if (!event.address.ok()) {
    return Leave(event.address.status().message(), event.address.status());
  }
  peer_ = PeerStage::kWaiting;
  hello_.set_peer_address(*event.address);
  Say(LogLevel::kInfo, absl::StrCat("other peers find it at ", *event.address));
  if (link_ != Link::kUp) return;  // says so when it registers anew
  v1::ClientMessage message;
  *message.mutable_register_() = hello_;
  Send(std::move(message));
}

void SessionMachine::OnMembership(v1::Membership& membership) {
  if (peer_ < PeerStage::kWaiting) return;
  const auto& members = membership.member();
  const auto self = std::find_if(
      members.begin(), members.end(),
      [this](const auto& m) { return m.name() == options_.hello.name(); });
  if (peer_ == PeerStage::kLeaving) {
    // Whom it hands over to goes on with them.
    if (self == members.end() || self->since() != peer_since_) return;
    effects_.push_back(session_effect::UpdatePeer{std::move(membership)});
    return;
  }
  const bool at_work = peer_ >= PeerStage::kRunning;
  if (self == members.end()) {
    if (at_work) EndPeer();
    return Say(at_work ? LogLevel::kWarning : LogLevel::kInfo,
               absl::StrCat("membership epoch ", membership.epoch(),
                            at_work ? " has dropped this peer, which" : "",
                            " goes on without it; it waits to be let in"));
  }
  if (at_work && self->since() != peer_since_) EndPeer();
  if (peer_ == PeerStage::kDone) return;
  membership_ = std::move(membership);
  if (peer_ == PeerStage::kRunning) {
    effects_.push_back(session_effect::UpdatePeer{membership_});
    return;
  }
  peer_since_ = self->since();
  StartPeerIfReady();
}

// The others go on without it: what it has done since counts for nothing, and
// it begins anew with the epoch that lets it in again.
void SessionMachine::EndPeer() {
  peer_ = PeerStage::kWaiting;
  membership_.Clear();
  outbox_.Clear();
  effects_.push_back(session_effect::EndPeer{});
}

void SessionMachine::StartPeerIfReady() {
  if (peer_ != PeerStage::kWaiting || membership_.member().empty() ||
      trainer_state_ != TrainerState::kReady) {
    return;
  }
  peer_ = PeerStage::kRunning;
  Say(LogLevel::kInfo,
      absl::StrCat(peer_since_ > 0 ? "joins " : "begins with ",
                   membership_.member_size(), " peers, membership epoch ",
                   membership_.epoch(), ", round ", membership_.first_round()));
  effects_.push_back(session_effect::StartPeer{registered_, membership_});
}

void SessionMachine::On(const session_event::LeaveRequested& event) {
  if (peer_ != PeerStage::kRunning || link_ == Link::kLeaving) {
    return On(session_event::StopRequested{event.reason});
  }
  peer_ = PeerStage::kLeaving;
  leave_reason_ = event.reason;
  Say(LogLevel::kInfo, "hands over to the other peers, then leaves");
  effects_.push_back(session_effect::LeavePeer{event.reason});
}

void SessionMachine::On(session_event::PeerReported& event) {
  const int64_t dropped = outbox_.dropped();
  outbox_.Add(std::move(event.report));
  if (dropped == 0 && outbox_.dropped() > 0) {
    Say(LogLevel::kWarning,
        absl::StrCat("keeps the reports of ", PeerOutbox::kMaxReports,
                     " rounds for the coordinator and drops older ones"));
  }
}

void SessionMachine::On(session_event::PeerEnded& event) {
  if ((peer_ != PeerStage::kRunning && peer_ != PeerStage::kLeaving) ||
      link_ == Link::kLeaving) {
    return;
  }
  if (!event.done.ok()) {
    const absl::Status status = event.done.status();
    if (peer_ == PeerStage::kLeaving && absl::IsCancelled(status)) {
      Say(LogLevel::kInfo, "has left the other peers");
      return Leave(leave_reason_, absl::OkStatus());
    }
    return Leave(absl::StrCat("its peer ended: ", status.message()), status);
  }
  peer_ = PeerStage::kDone;
  peer_done_at_ = now_;
  outbox_.SetDone(*std::move(event.done));
  Say(LogLevel::kInfo, "has done all rounds");
}

void SessionMachine::TellOfRounds() {
  while (std::optional<v1::ClientMessage> message = outbox_.Next(now_)) {
    Send(*std::move(message));
  }
}

std::string SessionMachine::PeerWaitsFor() const {
  switch (peer_) {
    case PeerStage::kOpening:
      return "opens a port for other peers";
    case PeerStage::kRunning:
      return "takes part in the gossip";
    case PeerStage::kLeaving:
      return "hands over to the other peers";
    case PeerStage::kDone:
      return "has done all rounds and waits for the others";
    default:
      return absl::StrCat("waits for the other peers",
                          notice_.empty() ? "" : ": ", notice_);
  }
}

}  // namespace parley
