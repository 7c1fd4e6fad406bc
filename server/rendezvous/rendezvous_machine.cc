#include "server/rendezvous/rendezvous_machine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/config/run_gossip.h"
#include "server/registry/welcome.h"
#include "server/rendezvous/peer_report_check.h"
#include "server/rendezvous/rendezvous_machine_impl.h"
#include "server/round/update_check.h"

namespace parley {
namespace {

// Parts stay with the peers that had them. In later epochs indices do not tell
// them: peers that come back say themselves which they have.
RegistryOptions ToRegistryOptions(const RendezvousMachineOptions& options) {
  RegistryOptions registry = RegistryOptionsOf(options.config, options.run,
                                               options.term, options.token_key);
  if (registry.parts == 0 || !options.membership ||
      options.membership->epoch() > 0) {
    return registry;
  }
  for (const v1::Membership::Member& member : options.membership->member()) {
    registry.reserved_parts[member.name()] = member.index();
  }
  return registry;
}

}  // namespace

RendezvousMachine::Impl::Impl(RendezvousMachineOptions options)
    : options_(std::move(options)),
      rounds_(options_.config.stop().rounds()),
      registry_(ToRegistryOptions(options_)),
      out_(options_.run, options_.term),
      reception_(MakeWelcome(options_.config, options_.spec, options_.run_id),
                 absl::Seconds(options_.config.limits().lease_seconds()),
                 &registry_, &out_, /*on_disconnected=*/nullptr),
      peers_(options_.config.data().partition().parts(),
             TraitsOf(AlgorithmOptionsOf(options_.config)).pairs,
             options_.membership, options_.told_rounds),
      epochs_(options_.config, &peers_),
      ledger_(MakeLedger(options_.told_rounds)),
      progress_(options_.run, rounds_, &peers_, &ledger_) {
  if (peers_.epoch() > 0) {
    NoteContraction(options_.membership->first_round());
  } else {
    contractions_[1] = options_.contraction;
  }
}

std::vector<RendezvousEffect> RendezvousMachine::Impl::Step(
    RendezvousEvent event, absl::Time now) {
  out_.now = std::max(out_.now, now);
  if (back_by_ == absl::InfinitePast()) {
    back_by_ = now + std::max(reception_.lease(), kComeBack);
  }
  std::visit([&](auto& e) { On(e); }, event);
  if (ended_) return out_.Take();
  if (out_.now >= timer_) timer_ = absl::InfiniteFuture();
  Expire();
  BeginIfReady();
  ChangeEpochIfDue();
  TellRounds();
  if (!end_ && peers_.begun()) end_ = EndOf(peers_);
  if (end_) {
    TellLastRound();
    TellStatus();
    EndRun();
  } else {
    TellStatus();
    TellWaiting();
    SetTimer();
  }
  return out_.Take();
}

// ------------------------------------------------------------------ sessions

void RendezvousMachine::Impl::On(event::MessageReceived& e) {
  const auto [session, client] = reception_.Hear(e);
  if (session == nullptr) return;
  const v1::ClientMessage& message = e.message;
  if (client == nullptr) {
    return OnRegister(e.session, *session, message.register_());
  }
  switch (message.kind_case()) {
    case v1::ClientMessage::kHeartbeat:
      return;
    case v1::ClientMessage::kPeerReports:
      return OnReports(e.session, *session, message.peer_reports());
    case v1::ClientMessage::kPeerDone:
      return OnDone(e.session, *session, message.peer_done());
    case v1::ClientMessage::kLeave:
      return OnLeave(e.session, std::string(client->name), message.leave());
    default:
      return reception_.Strike(
          e.session, *session,
          "a message of a kind that a gossip run does not have");
  }
}

// -------------------------------------------------------------- registration

void RendezvousMachine::Impl::OnRegister(SessionId id, Session& session,
                                         const v1::Register& request) {
  absl::Status fits = CheckIdentity(request, session.peer.certificate_name);
  if (fits.ok()) fits = CheckPeer(request, options_.config, peers_);
  if (fits.ok() && options_.membership && request.wants_part() &&
      !request.has_part() && peers_.IndexOf(request.name()) < 0 &&
      back_by_ != absl::InfiniteFuture()) {
    // Only its peers know who has which part by now.
    fits = absl::ResourceExhaustedError(
        "this coordinator was started anew, and waits for its peers first");
  }
  const auto admission = reception_.Admit(id, session, request, fits);
  if (!admission) return;
  const Client& client = *admission->client;
  if (admission->kind == Admission::Kind::kNew) {
    out_.Say(absl::StrCat(client.name, " joined, ", registry_.size(), " of ",
                          peers_.peers(), " peers"));
  }
  const PeerTable::Change change = peers_.Register(request, client.part);
  if (!peers_.begun() || request.peer_address().empty()) return;
  switch (change) {
    case PeerTable::Change::kMoved:
      out_.Say(
          absl::StrCat(client.name, " is at ", request.peer_address(), " now"));
      return TellMembership();
    case PeerTable::Change::kWaits:
      out_.Say(absl::StrCat(client.name, " waits to join with the next epoch"));
      break;
    case PeerTable::Change::kNone:
      break;
  }
  v1::ServerMessage message;
  *message.mutable_membership() = peers_.membership();
  out_.Send(client, std::move(message));
}

RoundLedger RendezvousMachine::Impl::MakeLedger(int64_t told_rounds) const {
  const bool pairs = TraitsOf(AlgorithmOptionsOf(options_.config)).pairs;
  return RoundLedger(peers_.MembersOf(1), rounds_, told_rounds,
                     /*in_step=*/!pairs);
}

void RendezvousMachine::Impl::BeginIfReady() {
  if (!peers_.Begin()) return;
  ledger_ = MakeLedger(0);
  out_.Say(absl::StrCat("all ", peers_.peers(), " peers are there"));
  TellMembership();
}

void RendezvousMachine::Impl::TellMembership() {
  v1::JournalRecord record;
  *record.mutable_membership() = peers_.membership();
  v1::ServerMessage message;
  *message.mutable_membership() = record.membership();
  out_.Add(effect::Record{std::move(record)});
  for (const PeerEntry& entry : peers_.entries()) {
    const Client* const client = registry_.Find(entry.name);
    if (client != nullptr) out_.Send(*client, message);
  }
}

void RendezvousMachine::Impl::OnLeave(SessionId id, const std::string& name,
                                      const v1::Leave& leave) {
  Lose(name, absl::StrCat("left", leave.reason().empty() ? "" : ": ",
                          Printable(leave.reason())));
  reception_.End(id, absl::OkStatus());
}

void RendezvousMachine::Impl::Lose(const std::string& name,
                                   const std::string& reason) {
  registry_.Remove(name);
  registry_.Yield(name);
  peers_.Lose(name, reason);
  out_.Say(absl::StrCat(name, " ", reason, "; ", registry_.size(), " of ",
                        peers_.peers(), " peers are registered"));
}

void RendezvousMachine::Impl::Expire() {
  reception_.Expire([this](const std::string& name, const std::string& reason) {
    Lose(name, reason);
  });
  if (out_.now >= back_by_) {
    back_by_ = absl::InfiniteFuture();
    for (const PeerEntry& entry : peers_.entries()) {
      if (registry_.Find(entry.name) == nullptr && !entry.lost) {
        registry_.Yield(entry.name);
        peers_.Lose(entry.name, "has not come back");
      }
    }
  }
}

RendezvousMachine::RendezvousMachine(RendezvousMachineOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}

RendezvousMachine::~RendezvousMachine() = default;

std::vector<RendezvousEffect> RendezvousMachine::Step(RendezvousEvent event,
                                                      absl::Time now) {
  return impl_->Step(std::move(event), now);
}

}  // namespace parley
