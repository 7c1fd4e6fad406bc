#include "server/round/round_machine.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/registry/welcome.h"
#include "server/round/phase.h"
#include "server/round/round_context.h"
#include "server/round/round_flow.h"
#include "server/round/session_table.h"
#include "server/round/teller.h"
#include "server/round/update_check.h"

namespace parley {
namespace {

constexpr int kMaxStrikes = 10;  // messages that make no sense, of one session

RegistryOptions ToRegistryOptions(const RoundMachineOptions& options) {
  const v1::RunConfig& config = options.config;
  RegistryOptions registry =
      RegistryOptionsOf(config, options.run, options.term, options.token_key);
  const bool wide = options.spec.dtype() == DType::kFloat64;
  for (v1::Encoding encoding : {config.wire().down(), config.wire().up()}) {
    if (encoding == v1::ENCODING_UNSPECIFIED) {
      encoding = wide ? v1::ENCODING_FLOAT64 : v1::ENCODING_FLOAT32;
    }
    registry.encodings.push_back(encoding);
  }
  for (const v1::RoundOpened& round : options.script) {
    for (const v1::CohortMember& member : round.cohort()) {
      if (member.has_part())
        registry.reserved_parts[member.client()] = member.part();
    }
  }
  return registry;
}

// For people.
std::string NameOf(const Session& session) {
  return Printable(session.client.empty() ? session.peer.address
                                          : session.client);
}

}  // namespace

// Sessions, registration, leases and what people are told; the rounds
// themselves are RoundFlow's.
class RoundMachine::Impl {
 public:
  explicit Impl(RoundMachineOptions options)
      : welcome_(MakeWelcome(options.config, options.spec, options.run_id)),
        lease_(absl::Seconds(options.config.limits().lease_seconds())),
        sessions_(lease_,
                  absl::Milliseconds(welcome_.registered().heartbeat_ms())),
        context_(MakeContext(std::move(options))),
        out_(context_.out),
        flow_(&context_),
        teller_(&context_, &flow_) {}

  std::vector<RoundEffect> Step(RoundEvent event, absl::Time now);

 private:
  static RoundContext MakeContext(RoundMachineOptions options) {
    RegistryOptions registry = ToRegistryOptions(options);
    const int permits = std::max(1, options.config.limits().transfers());
    Outbox out(options.run, options.term);
    return {std::move(options),
            Registry(std::move(registry)),
            {},
            TransferDesk(permits),
            std::move(out)};
  }

  void On(event::SessionOpened& e);
  void On(event::MessageReceived& e);
  void On(event::SessionClosed& e);
  // Whether that client, by its token, may open a transfer now.
  absl::Status MayTransfer(const std::string& client, const std::string& token);
  void On(event::DownloadRequested& e);
  void On(event::UploadRequested& e);
  void On(event::TransferEnded& e);
  void On(event::TransferCancelled& e);
  void On(event::ChunksStaged& e);
  void On(event::Aggregated& e) { flow_.OnAggregated(e); }
  void On(event::CentrallyEvaluated& e) { flow_.OnCentrallyEvaluated(e); }
  void On(event::DirectionPrepared& e) { flow_.OnDirectionPrepared(e); }
  void On(event::DirectionMeasured& e) { flow_.OnDirectionMeasured(e); }
  void On(event::TimerFired&) {}
  void On(event::StopRequested& e) { flow_.Stop(e.state, e.reason); }

  void OnRegister(SessionId id, Session& session, const v1::Register& request);
  void OnLeave(SessionId id, const std::string& name, const v1::Leave& leave);
  bool IsOwnTask(const Client& client, const v1::TaskId& task) const;
  void Strike(SessionId id, Session& session, absl::string_view what);

  // Out of the table; nothing is sent to it any more.
  void EndSession(SessionId id, absl::Status why);
  void Forget(SessionId id);
  void RemoveClient(const std::string& name, absl::string_view reason);
  void ExpireLeases();
  void ExpireSilentSessions();

  void EndRun();
  void TellWaiting();
  void SetTimer();

  const v1::ServerMessage welcome_;  // without what differs
  const absl::Duration lease_;
  SessionTable sessions_;
  RoundContext context_;
  Outbox& out_;
  RoundFlow flow_;
  Teller teller_;

  bool begun_ = false;
  bool ended_ = false;

  absl::Time timer_ = absl::InfiniteFuture();
};

std::vector<RoundEffect> RoundMachine::Impl::Step(RoundEvent event,
                                                  absl::Time now) {
  out_.now = std::max(out_.now, now);
  if (!begun_) {
    begun_ = true;
    flow_.Begin();
  }
  std::visit([&](auto& e) { On(e); }, event);
  if (ended_) return out_.Take();
  if (out_.now >= timer_) timer_ = absl::InfiniteFuture();
  ExpireLeases();
  ExpireSilentSessions();
  flow_.Advance();
  teller_.TellStatus();
  if (flow_.ended()) {
    EndRun();
  } else {
    TellWaiting();
    SetTimer();
  }
  std::vector<RoundEffect> effects = out_.Take();
  for (const RoundEffect& effect : effects) {
    const auto* send = std::get_if<effect::Send>(&effect);
    if (send != nullptr && send->message.has_task()) {
      sessions_.PayForTask(send->session);
    }
  }
  return effects;
}

// ------------------------------------------------------------------ sessions

void RoundMachine::Impl::On(event::SessionOpened& e) {
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

void RoundMachine::Impl::On(event::SessionClosed& e) { Forget(e.session); }

void RoundMachine::Impl::Forget(SessionId id) {
  const Session* const session = sessions_.Find(id);
  if (session == nullptr) return;
  const std::string name = session->client;
  sessions_.Erase(id);
  Client* client = context_.registry.Find(name);
  if (client == nullptr || client->session != id) return;
  client->session = 0;
  if (flow_.phase() != nullptr) flow_.phase()->OnDisconnected(*client);
}

void RoundMachine::Impl::EndSession(SessionId id, absl::Status why) {
  if (sessions_.Find(id) == nullptr) return;
  out_.Add(effect::EndSession{id, std::move(why)});
  Forget(id);
}

void RoundMachine::Impl::Strike(SessionId id, Session& session,
                                absl::string_view what) {
  out_.Warn(absl::StrCat(NameOf(session), ": ", what, "; passed over"));
  if (++session.strikes < kMaxStrikes) return;
  out_.Goodbye(id, absl::StrCat("too many messages that make no sense: ", what),
               false, false);
  EndSession(id, absl::InvalidArgumentError("messages that make no sense"));
}

void RoundMachine::Impl::On(event::MessageReceived& e) {
  Session* const found = sessions_.Find(e.session);
  if (found == nullptr) return;  // crossed its end
  Session& session = *found;
  const v1::ClientMessage& message = e.message;
  if (!sessions_.Spend(session, out_.now)) {
    const std::string reason = absl::StrFormat(
        "more than %.0f messages a second: slow down", sessions_.pace());
    out_.Warn(absl::StrCat(NameOf(session), " sent ", reason));
    out_.Goodbye(e.session, reason, false, true);
    EndSession(e.session, absl::ResourceExhaustedError(reason));
    return;
  }
  if (message.has_register_()) {
    if (!message.run().empty() && message.run() != context_.options.run) {
      out_.Goodbye(e.session,
                   absl::StrCat("this coordinator runs '", context_.options.run,
                                "', not '", Printable(message.run()), "'"),
                   false, false);
      EndSession(e.session, absl::NotFoundError("no such run"));
      return;
    }
    OnRegister(e.session, session, message.register_());
    return;
  }
  Client* client = context_.registry.Find(session.client);
  if (session.client.empty() || client == nullptr) {
    out_.Goodbye(e.session, "the first message has to be Register", false,
                 false);
    EndSession(e.session, absl::FailedPreconditionError("not registered"));
    return;
  }
  if (message.run() != context_.options.run ||
      message.term() != context_.options.term) {
    Strike(e.session, session, "a message of another run or term");
    return;
  }
  context_.registry.Renew(*client, out_.now);
  Phase* const phase = flow_.phase();
  switch (message.kind_case()) {
    case v1::ClientMessage::kHeartbeat:
      break;
    case v1::ClientMessage::kProgress: {
      const v1::TaskProgress& progress = message.progress();
      if (!IsOwnTask(*client, progress.task())) {
        Strike(e.session, session, "the progress of another client's task");
      } else if (!(progress.fraction() >= 0 && progress.fraction() <= 1)) {
        Strike(e.session, session,
               absl::StrCat("a progress of ", progress.fraction(),
                            ", which is not from 0 to 1"));
      } else if (phase != nullptr) {
        phase->OnProgress(*client, progress);
      }
      break;
    }
    case v1::ClientMessage::kUpdateReady: {
      const v1::UpdateReady& update = message.update_ready();
      if (!IsOwnTask(*client, update.task())) {
        Strike(e.session, session, "an update for another client's task");
      } else if (phase != nullptr) {
        phase->OnUpdateReady(*client,
                             std::move(*e.message.mutable_update_ready()));
      } else {
        AnswerLate(out_, *client, update.task());
      }
      break;
    }
    case v1::ClientMessage::kTaskFailed: {
      const v1::TaskFailed& failure = message.task_failed();
      if (!IsOwnTask(*client, failure.task())) {
        Strike(e.session, session, "a failure of another client's task");
      } else if (phase != nullptr) {
        phase->OnTaskFailed(*client, failure);
      } else {
        AnswerLate(out_, *client, failure.task());
      }
      break;
    }
    case v1::ClientMessage::kLeave:
      OnLeave(e.session, client->name, message.leave());
      break;
    case v1::ClientMessage::kRegister:
    case v1::ClientMessage::kPeerReports:
    case v1::ClientMessage::kPeerDone:
    case v1::ClientMessage::KIND_NOT_SET:
      Strike(e.session, session, "a message of a kind that is not known here");
      break;
  }
}

bool RoundMachine::Impl::IsOwnTask(const Client& client,
                                   const v1::TaskId& task) const {
  return task.client() == client.name && task.run() == context_.options.run &&
         task.term() == context_.options.term;
}

// -------------------------------------------------------------- registration

void RoundMachine::Impl::OnRegister(SessionId id, Session& session,
                                    const v1::Register& request) {
  if (!session.client.empty() && session.client != request.name()) {
    Strike(id, session, "a second Register, under another name");
    return;
  }
  const auto admission = context_.registry.Admit(
      id, request, session.peer.certificate_name, out_.now);
  if (!admission.ok()) {
    const absl::Status& why = admission.status();
    out_.Warn(absl::StrCat(Printable(session.peer.address),
                           " was turned away: ", Printable(why.message())));
    out_.Goodbye(id, why.message(), false,
                 why.code() == absl::StatusCode::kResourceExhausted);
    EndSession(id, why);
    return;
  }
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
  switch (admission->kind) {
    case Admission::Kind::kNew:
      context_.pool.Add(client.name);
      out_.Say(absl::StrCat(client.name, " joined, ", context_.pool.size(),
                            " registered"));
      break;
    case Admission::Kind::kResumed:
      if (client.last_over && !client.last_over_told) {
        RepeatTaskOver(out_, client);
      }
      break;
    case Admission::Kind::kRestarted:
      client.last_over.reset();
      out_.Say(absl::StrCat(client.name, " came back as another process"));
      break;
  }
  if (flow_.phase() != nullptr) {
    flow_.phase()->OnRegistered(client, admission->kind);
  }
}

void RoundMachine::Impl::OnLeave(SessionId id, const std::string& name,
                                 const v1::Leave& leave) {
  const std::string reason = absl::StrCat(
      "left", leave.reason().empty() ? "" : ": ", Printable(leave.reason()));
  RemoveClient(std::string(name), reason);
  EndSession(id, absl::OkStatus());
}

void RoundMachine::Impl::RemoveClient(const std::string& name,
                                      absl::string_view reason) {
  context_.registry.Remove(name);
  context_.pool.Remove(name);
  out_.Say(absl::StrCat(name, " ", reason, "; ", context_.pool.size(),
                        " registered"));
  if (flow_.phase() != nullptr) flow_.phase()->OnGone(name, reason);
}

void RoundMachine::Impl::ExpireLeases() {
  while (const Client* client = context_.registry.NextExpired(out_.now)) {
    const std::string name = client->name;
    const SessionId session = client->session;
    const std::string reason =
        absl::StrCat("is lost: silent for ", absl::FormatDuration(lease_));
    if (session != 0) {
      out_.Goodbye(session, "silent for longer than the lease", false, true);
      EndSession(session, absl::DeadlineExceededError("the lease is over"));
    }
    RemoveClient(name, reason);
  }
}

void RoundMachine::Impl::ExpireSilentSessions() {
  while (const auto id = sessions_.NextSilent(out_.now)) {
    out_.Goodbye(*id, "no Register came", false, true);
    EndSession(*id, absl::DeadlineExceededError("no Register came"));
  }
}

// ----------------------------------------------------------------- transfers

absl::Status RoundMachine::Impl::MayTransfer(const std::string& client,
                                             const std::string& token) {
  if (context_.registry.FindByToken(client, token) == nullptr) {
    return absl::PermissionDeniedError("the token is not this client's");
  }
  if (ended_ || flow_.phase() == nullptr) {
    return absl::AbortedError("no task is open");
  }
  return absl::OkStatus();
}

void RoundMachine::Impl::On(event::DownloadRequested& e) {
  const v1::TaskId& task = e.request.task();
  absl::Status refused = MayTransfer(task.client(), e.request.token());
  if (!refused.ok()) {
    out_.Add(effect::AnswerTransfer{e.transfer, std::move(refused)});
  } else {
    flow_.phase()->OnDownloadRequested(e.transfer, e.request);
  }
}

void RoundMachine::Impl::On(event::UploadRequested& e) {
  const v1::TaskId& task = e.header.task();
  absl::Status refused = MayTransfer(task.client(), e.header.token());
  if (!refused.ok()) {
    out_.Add(effect::AnswerTransfer{e.transfer, std::move(refused)});
  } else {
    flow_.phase()->OnUploadRequested(e.transfer, task);
  }
}

void RoundMachine::Impl::On(event::TransferEnded& e) {
  const auto ended = context_.desk.End(e.transfer);
  if (!ended) return;
  (ended->way == TransferDesk::Way::kUp ? context_.bytes_up
                                        : context_.bytes_down) += e.bytes_moved;
  if (ended->slot && flow_.phase() != nullptr) {
    flow_.phase()->OnTransferEnded(*ended->slot, ended->way, e);
  }
}

void RoundMachine::Impl::On(event::TransferCancelled& e) {
  if (flow_.phase() != nullptr) flow_.phase()->OnTransferCancelled(e.transfer);
}

void RoundMachine::Impl::On(event::ChunksStaged& e) {
  context_.bytes_up += e.bytes_moved;
  if (flow_.phase() != nullptr) flow_.phase()->OnChunksStaged(e);
}

// -------------------------------------------------------------------- people

void RoundMachine::Impl::EndRun() {
  ended_ = true;
  const bool well = flow_.end_state() == v1::FINISHED;
  out_.Say(absl::StrCat("the run ended: ", flow_.end_reason()),
           well ? LogLevel::kInfo : LogLevel::kWarning);
  for (const auto& [id, session] : sessions_.all()) {
    out_.Goodbye(id, flow_.end_reason(), well, false);
    out_.Add(effect::EndSession{id, absl::OkStatus()});
  }
  sessions_.Clear();
  out_.Add(effect::SetTimer{absl::InfiniteFuture()});
  out_.Add(effect::EndRun{flow_.end_state(), flow_.end_reason()});
}

void RoundMachine::Impl::TellWaiting() {
  const std::string text = teller_.TellWaiting();
  if (text.empty()) return;
  v1::ServerMessage notice;
  notice.mutable_notice()->set_text(text);
  const Phase* const phase = flow_.phase();
  for (const auto& [id, session] : sessions_.all()) {
    const Client* client = context_.registry.Find(session.client);
    if (client == nullptr || (phase != nullptr && phase->IsBusy(*client))) {
      continue;
    }
    out_.Send(id, notice);
  }
}

void RoundMachine::Impl::SetTimer() {
  absl::Time next = std::min(flow_.NextTimer(), teller_.NextTimer());
  next = std::min(next, context_.registry.NextExpiry());
  next = std::min(next, sessions_.NextTimer());
  // One that fires too early does no harm; moving it at each message would.
  if (next >= timer_) return;
  timer_ = next;
  out_.Add(effect::SetTimer{next});
}

RoundMachine::RoundMachine(RoundMachineOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}

RoundMachine::~RoundMachine() = default;

std::vector<RoundEffect> RoundMachine::Step(RoundEvent event, absl::Time now) {
  return impl_->Step(std::move(event), now);
}

}  // namespace parley
