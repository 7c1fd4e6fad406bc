#include "server/round/round_machine.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/registry/welcome.h"
#include "server/round/phase.h"
#include "server/round/reception.h"
#include "server/round/round_context.h"
#include "server/round/round_flow.h"
#include "server/round/teller.h"
#include "server/round/update_check.h"

namespace parley {
namespace {

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

}  // namespace

// Brings together those who come (Reception), the rounds (RoundFlow) and what
// people are told.
class RoundMachine::Impl {
 public:
  explicit Impl(RoundMachineOptions options)
      : context_(MakeContext(std::move(options))),
        out_(context_.out),
        reception_(
            MakeWelcome(context_.options.config, context_.options.spec,
                        context_.options.run_id),
            absl::Seconds(context_.options.config.limits().lease_seconds()),
            &context_.registry, &out_,
            [this](Client& client) {
              if (flow_.phase() != nullptr) {
                flow_.phase()->OnDisconnected(client);
              }
            }),
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

  void On(event::SessionOpened& e) { reception_.Open(e); }
  void On(event::MessageReceived& e);
  void On(event::SessionClosed& e) { reception_.Forget(e.session); }
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
  void RemoveClient(const std::string& name, absl::string_view reason);

  void EndRun();
  void TellWaiting();
  void SetTimer();

  RoundContext context_;
  Outbox& out_;
  Reception reception_;
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
  reception_.Expire([this](const std::string& name, const std::string& reason) {
    RemoveClient(name, reason);
  });
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
      reception_.PayForTask(send->session);
    }
  }
  return effects;
}

// ------------------------------------------------------------------ sessions

void RoundMachine::Impl::On(event::MessageReceived& e) {
  const auto [session, client] = reception_.Hear(e);
  if (session == nullptr) return;
  const v1::ClientMessage& message = e.message;
  if (client == nullptr) {
    return OnRegister(e.session, *session, message.register_());
  }
  Phase* const phase = flow_.phase();
  switch (message.kind_case()) {
    case v1::ClientMessage::kHeartbeat:
      break;
    case v1::ClientMessage::kProgress: {
      const v1::TaskProgress& progress = message.progress();
      if (!IsOwnTask(*client, progress.task())) {
        reception_.Strike(e.session, *session,
                          "the progress of another client's task");
      } else if (!(progress.fraction() >= 0 && progress.fraction() <= 1)) {
        reception_.Strike(e.session, *session,
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
        reception_.Strike(e.session, *session,
                          "an update for another client's task");
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
        reception_.Strike(e.session, *session,
                          "a failure of another client's task");
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
      reception_.Strike(e.session, *session,
                        "a message of a kind that is not known here");
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
  const auto admission = reception_.Admit(id, session, request);
  if (!admission) return;
  Client& client = *admission->client;
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
  reception_.End(id, absl::OkStatus());
}

void RoundMachine::Impl::RemoveClient(const std::string& name,
                                      absl::string_view reason) {
  context_.registry.Remove(name);
  context_.pool.Remove(name);
  out_.Say(absl::StrCat(name, " ", reason, "; ", context_.pool.size(),
                        " registered"));
  if (flow_.phase() != nullptr) flow_.phase()->OnGone(name, reason);
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
  reception_.Close(flow_.end_reason(), well);
  out_.Add(effect::SetTimer{absl::InfiniteFuture()});
  out_.Add(effect::EndRun{flow_.end_state(), flow_.end_reason()});
}

void RoundMachine::Impl::TellWaiting() {
  const std::string text = teller_.TellWaiting();
  if (text.empty()) return;
  v1::ServerMessage notice;
  notice.mutable_notice()->set_text(text);
  const Phase* const phase = flow_.phase();
  for (const auto& [id, session] : reception_.sessions().all()) {
    const Client* client = context_.registry.Find(session.client);
    if (client == nullptr || (phase != nullptr && phase->IsBusy(*client))) {
      continue;
    }
    out_.Send(id, notice);
  }
}

void RoundMachine::Impl::SetTimer() {
  absl::Time next = std::min(flow_.NextTimer(), teller_.NextTimer());
  next = std::min(next, reception_.NextTimer());
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
