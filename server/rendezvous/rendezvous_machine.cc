#include "server/rendezvous/rendezvous_machine.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/registry/registry.h"
#include "server/registry/welcome.h"
#include "server/rendezvous/gossip_end.h"
#include "server/rendezvous/gossip_progress.h"
#include "server/rendezvous/peer_report_check.h"
#include "server/rendezvous/peer_table.h"
#include "server/rendezvous/round_ledger.h"
#include "server/round/outbox.h"
#include "server/round/session_table.h"
#include "server/round/update_check.h"

namespace parley {
namespace {

constexpr int kMaxStrikes = 10;  // messages that make no sense, of one session

// Parts stay with the peers that had them.
RegistryOptions ToRegistryOptions(const RendezvousMachineOptions& options) {
  RegistryOptions registry = RegistryOptionsOf(options.config, options.run,
                                               options.term, options.token_key);
  if (registry.parts == 0 || !options.membership) return registry;
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

class RendezvousMachine::Impl {
 public:
  explicit Impl(RendezvousMachineOptions options)
      : options_(std::move(options)),
        rounds_(options_.config.stop().rounds()),
        welcome_(MakeWelcome(options_.config, options_.spec, options_.run_id)),
        lease_(absl::Seconds(options_.config.limits().lease_seconds())),
        sessions_(lease_,
                  absl::Milliseconds(welcome_.registered().heartbeat_ms())),
        registry_(ToRegistryOptions(options_)),
        out_(options_.run, options_.term),
        peers_(options_.config.data().partition().parts(), options_.membership),
        ledger_(peers_.names(), rounds_, options_.told_rounds),
        progress_(options_.run, rounds_, options_.contraction, &peers_,
                  &ledger_) {}

  std::vector<RendezvousEffect> Step(RendezvousEvent event, absl::Time now);

 private:
  void On(event::SessionOpened& e);
  void On(event::MessageReceived& e);
  void On(event::SessionClosed& e) { Forget(e.session); }
  void On(event::TimerFired&) {}
  void On(event::StopRequested& e) { end_ = {e.state, e.reason}; }

  void OnRegister(SessionId id, Session& session, const v1::Register& request);
  void OnReports(SessionId id, Session& session,
                 const v1::PeerReports& reports);
  void OnDone(SessionId id, Session& session, const v1::PeerDone& done);
  void OnLeave(SessionId id, const std::string& name, const v1::Leave& leave);
  void Refuse(SessionId id, const Session& session, const absl::Status& why);
  void Strike(SessionId id, Session& session, absl::string_view what);

  void Forget(SessionId id);
  void EndSession(SessionId id, absl::Status why);
  void Lose(const std::string& name, const std::string& reason);
  void Expire();

  void BeginIfReady();
  void TellMembership();
  void TellRounds();
  void Tell(RoundReport report);
  void EndRun();
  // With the end: the evaluations of the peers.
  void TellLastRound();

  void TellStatus();
  void TellWaiting();
  void SetTimer();

  const RendezvousMachineOptions options_;
  const int64_t rounds_;
  const v1::ServerMessage welcome_;  // without what differs
  const absl::Duration lease_;
  SessionTable sessions_;
  Registry registry_;
  EffectOutbox<RendezvousEffect> out_;
  PeerTable peers_;
  RoundLedger ledger_;
  GossipProgress progress_;
  std::optional<RunEnd> end_;
  bool ended_ = false;
  // Of a run that was taken up again: peers that are not back by then are lost.
  absl::Time back_by_ = absl::InfinitePast();

  // State, round; peers that are done, ready, registered, lost.
  using Told = std::tuple<v1::RunState, int64_t, int, int, size_t, int>;
  Told told_;
  bool owes_ = false;  // a status
  absl::Time told_at_ = absl::InfinitePast();
  absl::Time changed_at_ = absl::InfinitePast();  // or said what it waits for
  std::string waits_for_;
  absl::Time timer_ = absl::InfiniteFuture();
};

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
  const bool changed = peers_.Register(request, client.part);
  if (admission->kind == Admission::Kind::kNew) {
    out_.Say(absl::StrCat(client.name, " joined, ", registry_.size(), " of ",
                          peers_.peers(), " peers"));
  }
  if (!peers_.begun() || request.peer_address().empty()) return;
  if (changed) {
    out_.Say(
        absl::StrCat(client.name, " is at ", request.peer_address(), " now"));
    return TellMembership();
  }
  v1::ServerMessage message;
  *message.mutable_membership() = peers_.membership();
  out_.Send(client, std::move(message));
}

void RendezvousMachine::Impl::BeginIfReady() {
  if (!peers_.Begin()) return;
  ledger_ = RoundLedger(peers_.names(), rounds_, 0);
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
        peers_.Lose(entry.name, "has not come back");
      }
    }
  }
  while (const auto id = sessions_.NextSilent(out_.now)) {
    out_.Goodbye(*id, "no Register came", false, true);
    EndSession(*id, absl::DeadlineExceededError("no Register came"));
  }
}

// -------------------------------------------------------------------- rounds

void RendezvousMachine::Impl::OnReports(SessionId id, Session& session,
                                        const v1::PeerReports& reports) {
  const int peer = peers_.IndexOf(session.client);
  if (!peers_.begun() || peer < 0) {
    return Strike(id, session, "reports of a run that has not begun");
  }
  if (reports.report_size() == 0 || reports.report_size() > kMaxPeerReports) {
    return Strike(id, session,
                  absl::StrCat(reports.report_size(), " reports at once; 1 to ",
                               kMaxPeerReports, " are taken"));
  }
  for (const v1::PeerReport& report : reports.report()) {
    const absl::Status fits = CheckPeerReport(report, peers_.peers(), rounds_);
    if (!fits.ok()) return Strike(id, session, Printable(fits.message()));
  }
  for (const v1::PeerReport& report : reports.report()) {
    ledger_.Add(peer, report);
  }
  TellRounds();
  // What is not told yet would be lost with this process.
  v1::ServerMessage message;
  message.mutable_reports_taken()->set_round(ledger_.told());
  out_.Send(id, std::move(message));
}

void RendezvousMachine::Impl::OnDone(SessionId id, Session& session,
                                     const v1::PeerDone& done) {
  const int peer = peers_.IndexOf(session.client);
  if (!peers_.begun() || peer < 0) {
    return Strike(id, session, "the end of a run that has not begun");
  }
  const absl::Status fits = CheckPeerDone(done);
  if (!fits.ok()) return Strike(id, session, Printable(fits.message()));
  peers_.entries()[peer].done = done;
}

void RendezvousMachine::Impl::TellRounds() {
  if (!peers_.begun()) return;
  std::vector<bool> awaited;
  for (const PeerEntry& entry : peers_.entries()) {
    awaited.push_back(!entry.lost && !entry.done);
  }
  while (std::optional<RoundReport> report = ledger_.Next(awaited)) {
    Tell(*std::move(report));
  }
}

void RendezvousMachine::Impl::Tell(RoundReport report) {
  for (const PeerEntry& entry : peers_.entries()) {
    if (std::find(report.counted.begin(), report.counted.end(), entry.name) ==
        report.counted.end()) {
      report.refused.push_back(
          {entry.name, entry.lost ? entry.reason : "has told nothing of it"});
    }
  }
  report.clients = static_cast<int32_t>(registry_.size());
  progress_.Take(report);
  owes_ = true;
  out_.Add(effect::TellRound{std::move(report)});
}

// ----------------------------------------------------------------------- end

void RendezvousMachine::Impl::TellLastRound() {
  if (!peers_.begun()) return;
  // What could still come will not.
  const std::vector<bool> awaited(peers_.peers(), false);
  while (std::optional<RoundReport> report = ledger_.Next(awaited)) {
    Tell(*std::move(report));
  }
  std::optional<RoundReport> last = ledger_.TakeLast();
  if (!last) return;
  if (!AddEvaluations(peers_, &*last)) {
    out_.Warn(
        "the peers' models differ, though they say that they are the average "
        "of all");
  }
  Tell(*std::move(last));
}

void RendezvousMachine::Impl::EndRun() {
  ended_ = true;
  const bool well = end_->first == v1::FINISHED;
  out_.Say(absl::StrCat("the run ended: ", end_->second),
           well ? LogLevel::kInfo : LogLevel::kWarning);
  for (const auto& [id, session] : sessions_.all()) {
    out_.Goodbye(id, end_->second, well, false);
    out_.Add(effect::EndSession{id, absl::OkStatus()});
  }
  sessions_.Clear();
  out_.Add(effect::SetTimer{absl::InfiniteFuture()});
  out_.Add(effect::EndRun{end_->first, end_->second});
}

// -------------------------------------------------------------------- people

void RendezvousMachine::Impl::TellStatus() {
  const auto state = end_             ? end_->first
                     : peers_.begun() ? v1::RUNNING
                                      : v1::WAITING;
  const Told now_is(state, ledger_.told(), peers_.done(), peers_.ready(),
                    registry_.size(), peers_.lost());
  const bool begins = std::get<0>(now_is) != std::get<0>(told_);
  if (now_is != told_) {
    told_ = now_is;
    changed_at_ = out_.now;
    waits_for_.clear();
    owes_ = true;
  }
  if (!owes_) return;
  if (!end_ && !begins && out_.now < told_at_ + kStatusEvery) return;
  owes_ = false;
  told_at_ = out_.now;
  v1::RunStatus status = progress_.Status(end_, registry_.size());
  if (!end_ && !waits_for_.empty()) status.set_detail(waits_for_);
  out_.Add(effect::StatusChanged{std::move(status)});
}

void RendezvousMachine::Impl::TellWaiting() {
  if (out_.now < changed_at_ + kSayEvery) return;
  changed_at_ = out_.now;
  waits_for_ = progress_.WaitsFor(registry_.size());
  out_.Say(waits_for_);
  owes_ = true;
  TellStatus();
  if (peers_.begun()) return;
  v1::ServerMessage notice;
  notice.mutable_notice()->set_text(waits_for_);
  for (const auto& [id, session] : sessions_.all()) {
    if (!session.client.empty()) out_.Send(id, notice);
  }
}

void RendezvousMachine::Impl::SetTimer() {
  absl::Time next = changed_at_ + kSayEvery;
  if (owes_) next = std::min(next, told_at_ + kStatusEvery);
  next =
      std::min({next, back_by_, registry_.NextExpiry(), sessions_.NextTimer()});
  // One that fires too early does no harm; moving it at each message would.
  if (next >= timer_) return;
  timer_ = next;
  out_.Add(effect::SetTimer{next});
}

RendezvousMachine::RendezvousMachine(RendezvousMachineOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}

RendezvousMachine::~RendezvousMachine() = default;

std::vector<RendezvousEffect> RendezvousMachine::Step(RendezvousEvent event,
                                                      absl::Time now) {
  return impl_->Step(std::move(event), now);
}

}  // namespace parley
