#include "server/rendezvous/rendezvous_machine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/config/run_gossip.h"
#include "server/registry/welcome.h"
#include "server/rendezvous/peer_report_check.h"
#include "server/rendezvous/rendezvous_machine_impl.h"
#include "server/round/update_check.h"

namespace parley {
namespace {

constexpr int kMaxStrikes = 10;  // messages that make no sense, of one session

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

std::string NameOf(const Session& session) {
  return Printable(session.client.empty() ? session.peer.address
                                          : session.client);
}

}  // namespace

RendezvousMachine::Impl::Impl(RendezvousMachineOptions options)
    : options_(std::move(options)),
      rounds_(options_.config.stop().rounds()),
      welcome_(MakeWelcome(options_.config, options_.spec, options_.run_id)),
      lease_(absl::Seconds(options_.config.limits().lease_seconds())),
      sessions_(lease_,
                absl::Milliseconds(welcome_.registered().heartbeat_ms())),
      registry_(ToRegistryOptions(options_)),
      out_(options_.run, options_.term),
      peers_(options_.config.data().partition().parts(),
             TraitsOf(AlgorithmOptionsOf(options_.config)).pairs,
             options_.membership),
      epochs_(options_.config, &peers_),
      ledger_(peers_.MembersOf(1), rounds_, options_.told_rounds),
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
    back_by_ = now + std::max(lease_, kComeBack);
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

void RendezvousMachine::Impl::On(event::SessionOpened& e) {
  if (ended_) {
    out_.Goodbye(e.session, "the run is over", true, false);
    out_.Add(effect::EndSession{e.session, absl::OkStatus()});
    return;
  }
  const auto crowded_out =
      sessions_.Open(e.session, std::move(e.peer), out_.now);
  if (!crowded_out) return;
  const std::string reason =
      absl::StrCat(SessionTable::kMaxUnregistered,
                   " connections have not registered, and no more can wait");
  out_.Goodbye(*crowded_out, reason, false, true);
  EndSession(*crowded_out, absl::ResourceExhaustedError(reason));
}

void RendezvousMachine::Impl::Forget(SessionId id) {
  const Session* const session = sessions_.Find(id);
  if (session == nullptr) return;
  Client* client = registry_.Find(session->client);
  sessions_.Erase(id);
  if (client != nullptr && client->session == id) client->session = 0;
}

void RendezvousMachine::Impl::EndSession(SessionId id, absl::Status why) {
  if (sessions_.Find(id) == nullptr) return;
  out_.Add(effect::EndSession{id, std::move(why)});
  Forget(id);
}

void RendezvousMachine::Impl::Refuse(SessionId id, const Session& session,
                                     const absl::Status& why) {
  out_.Warn(absl::StrCat(NameOf(session),
                         " was turned away: ", Printable(why.message())));
  out_.Goodbye(id, why.message(), false, absl::IsResourceExhausted(why));
  EndSession(id, why);
}

void RendezvousMachine::Impl::Strike(SessionId id, Session& session,
                                     absl::string_view what) {
  out_.Warn(absl::StrCat(NameOf(session), ": ", what, "; passed over"));
  if (++session.strikes < kMaxStrikes) return;
  out_.Goodbye(id, absl::StrCat("too many messages that make no sense: ", what),
               false, false);
  EndSession(id, absl::InvalidArgumentError("messages that make no sense"));
}

void RendezvousMachine::Impl::On(event::MessageReceived& e) {
  Session* const found = sessions_.Find(e.session);
  if (found == nullptr) return;  // crossed its end
  Session& session = *found;
  const v1::ClientMessage& message = e.message;
  if (!sessions_.Spend(session, out_.now)) {
    const std::string reason = absl::StrFormat(
        "more than %.0f messages a second: slow down", sessions_.pace());
    out_.Warn(absl::StrCat(NameOf(session), " sent ", reason));
    out_.Goodbye(e.session, reason, false, true);
    return EndSession(e.session, absl::ResourceExhaustedError(reason));
  }
  if (message.has_register_()) {
    if (!message.run().empty() && message.run() != options_.run) {
      return Refuse(e.session, session,
                    absl::NotFoundError(absl::StrCat(
                        "this coordinator runs '", options_.run, "', not '",
                        Printable(message.run()), "'")));
    }
    return OnRegister(e.session, session, message.register_());
  }
  Client* client = registry_.Find(session.client);
  if (session.client.empty() || client == nullptr) {
    return Refuse(
        e.session, session,
        absl::FailedPreconditionError("the first message has to be Register"));
  }
  if (message.run() != options_.run || message.term() != options_.term) {
    return Strike(e.session, session, "a message of another run or term");
  }
  registry_.Renew(*client, out_.now);
  switch (message.kind_case()) {
    case v1::ClientMessage::kHeartbeat:
      return;
    case v1::ClientMessage::kPeerReports:
      return OnReports(e.session, session, message.peer_reports());
    case v1::ClientMessage::kPeerDone:
      return OnDone(e.session, session, message.peer_done());
    case v1::ClientMessage::kLeave:
      return OnLeave(e.session, std::string(client->name), message.leave());
    default:
      return Strike(e.session, session,
                    "a message of a kind that a gossip run does not have");
  }
}

// -------------------------------------------------------------- registration

void RendezvousMachine::Impl::OnRegister(SessionId id, Session& session,
                                         const v1::Register& request) {
  if (!session.client.empty() && session.client != request.name()) {
    return Strike(id, session, "a second Register, under another name");
  }
  absl::Status fits = CheckIdentity(request, session.peer.certificate_name);
  if (fits.ok()) fits = CheckPeer(request, options_.config, peers_);
  if (fits.ok() && options_.membership && request.wants_part() &&
      !request.has_part() && peers_.IndexOf(request.name()) < 0 &&
      back_by_ != absl::InfiniteFuture()) {
    // Only its peers know who has which part by now.
    fits = absl::ResourceExhaustedError(
        "this coordinator was started anew, and waits for its peers first");
  }
  if (!fits.ok()) return Refuse(id, session, fits);
  const auto admission =
      registry_.Admit(id, request, session.peer.certificate_name, out_.now);
  if (!admission.ok()) return Refuse(id, session, admission.status());
  Client& client = *admission->client;
  sessions_.Register(session, client.name);
  if (admission->displaced != 0) {
    if (admission->kind == Admission::Kind::kRestarted) {
      out_.Goodbye(admission->displaced,
                   "another process joined under this name", false, false);
    }
    EndSession(admission->displaced,
               absl::AbortedError("a later session took its place"));
  }
  v1::ServerMessage welcome = welcome_;
  welcome.mutable_registered()->set_token(client.token);
  if (client.part) welcome.mutable_registered()->set_part(*client.part);
  out_.Send(client, std::move(welcome));
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

void RendezvousMachine::Impl::BeginIfReady() {
  if (!peers_.Begin()) return;
  ledger_ = RoundLedger(peers_.MembersOf(1), rounds_, 0);
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
  EndSession(id, absl::OkStatus());
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
  while (const Client* client = registry_.NextExpired(out_.now)) {
    const std::string name = client->name;
    const SessionId session = client->session;
    if (session != 0) {
      out_.Goodbye(session, "silent for longer than the lease", false, true);
      EndSession(session, absl::DeadlineExceededError("the lease is over"));
    }
    Lose(name,
         absl::StrCat("is lost: silent for ", absl::FormatDuration(lease_)));
  }
  if (out_.now >= back_by_) {
    back_by_ = absl::InfiniteFuture();
    for (const PeerEntry& entry : peers_.entries()) {
      if (registry_.Find(entry.name) == nullptr && !entry.lost) {
        registry_.Yield(entry.name);
        peers_.Lose(entry.name, "has not come back");
      }
    }
  }
  while (const auto id = sessions_.NextSilent(out_.now)) {
    out_.Goodbye(*id, "no Register came", false, true);
    EndSession(*id, absl::DeadlineExceededError("no Register came"));
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
