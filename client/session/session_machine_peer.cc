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
  if (peer_ < PeerStage::kWaiting || peer_ == PeerStage::kDone) return;
  const auto& members = membership.member();
  if (std::none_of(members.begin(), members.end(), [this](const auto& m) {
        return m.name() == options_.hello.name();
      })) {
    return Say(LogLevel::kWarning,
               "ignores a membership that this client is not in");
  }
  if (peer_ == PeerStage::kRunning) {
    if (membership.epoch() != membership_.epoch()) {
      return Say(
          LogLevel::kWarning,
          absl::StrCat("ignores membership epoch ", membership.epoch(),
                       ": this peer stays in epoch ", membership_.epoch()));
    }
    membership_ = std::move(membership);
    effects_.push_back(session_effect::UpdatePeer{membership_});
    return;
  }
  membership_ = std::move(membership);
  StartPeerIfReady();
}

void SessionMachine::StartPeerIfReady() {
  if (peer_ != PeerStage::kWaiting || membership_.member().empty() ||
      trainer_state_ != TrainerState::kReady) {
    return;
  }
  peer_ = PeerStage::kRunning;
  Say(LogLevel::kInfo,
      absl::StrCat("begins with ", membership_.member_size(),
                   " peers, membership epoch ", membership_.epoch()));
  effects_.push_back(session_effect::StartPeer{registered_, membership_});
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
  if (peer_ != PeerStage::kRunning || link_ == Link::kLeaving) return;
  if (!event.done.ok()) {
    const absl::Status status = event.done.status();
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
    case PeerStage::kDone:
      return "has done all rounds and waits for the others";
    default:
      return absl::StrCat("waits for the other peers",
                          notice_.empty() ? "" : ": ", notice_);
  }
}

}  // namespace parley
