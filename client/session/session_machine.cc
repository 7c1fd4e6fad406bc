#include "client/session/session_machine.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/wire/protocol.h"
#include "google/protobuf/util/message_differencer.h"

namespace parley {
namespace {

using google::protobuf::util::MessageDifferencer;

// What a trainer is made from.
bool SameTrainer(const v1::Registered& a, const v1::Registered& b) {
  return a.has_part() == b.has_part() && a.part() == b.part() &&
         a.spec_hash() == b.spec_hash() && a.run_id() == b.run_id() &&
         MessageDifferencer::Equals(a.config(), b.config());
}

// This client's own settings are wrong, such as its certificate: no other try
// will mend that.
bool IsFinal(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status);
}

}  // namespace

SessionMachine::SessionMachine(SessionMachineOptions options, Rng jitter)
    : options_(std::move(options)), hello_(options_.hello), jitter_(jitter) {
  PARLEY_CHECK(!options_.servers.empty());
}

std::vector<SessionEffect> SessionMachine::Step(SessionEvent event,
                                                absl::Time now) {
  if (link_ == Link::kOver) return {};
  now_ = now;
  effects_.clear();
  std::visit([this](auto& e) { On(e); }, event);
  DoWhatIsDue();
  ReportWaiting();
  SetWakeAt();
  return std::exchange(effects_, {});
}

// ------------------------------------------------------------------- events

void SessionMachine::On(const session_event::Started&) {
  if (link_ != Link::kNone) return;
  offline_since_ = now_;
  Dial();
}

void SessionMachine::On(session_event::Received& event) {
  if (event.connection != connection_) return;
  v1::ServerMessage& message = event.message;
  if (link_ == Link::kLeaving) {
    if (message.has_goodbye()) Exit(exit_status_);
    return;
  }
  if (message.has_registered()) return OnRegistered(message);
  if (message.has_notice()) return OnNotice(message.notice());
  // A deposed coordinator may talk on; refusals may come without a term.
  if (link_ == Link::kUp && message.term() != term_ &&
      !(message.has_goodbye() && message.term() == 0)) {
    return Say(LogLevel::kWarning,
               absl::StrCat("ignores a message of term ", message.term(),
                            "; the term is ", term_));
  }
  if (message.has_goodbye()) return OnGoodbye(message.run(), message.goodbye());
  if (link_ != Link::kUp) return;
  switch (message.kind_case()) {
    case v1::ServerMessage::kTask:
      return OnTask(*message.mutable_task());
    case v1::ServerMessage::kGrantUpload:
      return OnGrant(message.grant_upload());
    case v1::ServerMessage::kVerdict:
      return OnVerdict(message.verdict());
    case v1::ServerMessage::kTaskOver:
      return OnTaskOver(message.task_over());
    case v1::ServerMessage::kMembership:
      return OnMembership(*message.mutable_membership());
    case v1::ServerMessage::kReportsTaken:
      return outbox_.Taken(message.reports_taken().round());
    default:
      return Say(LogLevel::kWarning,
                 "ignores a message of a kind that it does not know; is the "
                 "coordinator newer?");
  }
}

void SessionMachine::On(const session_event::Closed& event) {
  if (event.connection != connection_) return;
  if (link_ == Link::kLeaving) return Exit(exit_status_);
  if (link_ != Link::kDialing && link_ != Link::kWaiting &&
      link_ != Link::kUp) {
    return;
  }
  if (link_ == Link::kDialing && IsFinal(event.why)) return Exit(event.why);
  // A coordinator that was up is tried again before the others are.
  LoseLink(event.why.ok() ? "the coordinator closed the connection"
                          : event.why.message(),
           /*try_next=*/link_ == Link::kDialing);
}

void SessionMachine::On(const session_event::TrainerMade& event) {
  if (event.trainer != trainer_ || link_ == Link::kLeaving) return;
  if (!event.status.ok()) {
    return Leave(event.status.message(), event.status);
  }
  trainer_state_ = TrainerState::kReady;
  if (registered_.config().has_gossip() && !IsPeer()) {
    peer_ = PeerStage::kOpening;
    effects_.push_back(
        session_effect::ListenForPeers{options_.servers[server_]});
  }
  StartPeerIfReady();
  WorkIfReady();
}

void SessionMachine::On(const session_event::TimerFired& event) {
  // Step looks at the time anyway.
  if (job_) job_->fraction = event.fraction;
}

void SessionMachine::On(const session_event::StopRequested& event) {
  if (link_ == Link::kUp || link_ == Link::kWaiting) {
    return Leave(event.reason, absl::OkStatus());
  }
  Exit(link_ == Link::kLeaving ? exit_status_ : absl::OkStatus());
}

// ----------------------------------------------------------------- messages

void SessionMachine::OnRegistered(v1::ServerMessage& message) {
  v1::Registered& registered = *message.mutable_registered();
  if (link_ != Link::kDialing && link_ != Link::kWaiting) return;
  const std::string& server = options_.servers[server_];
  if (registered.protocol_version() != kProtocolVersion) {
    const std::string reason = absl::StrCat(
        "the coordinator at ", server, " speaks protocol version ",
        registered.protocol_version(), " (", registered.software(),
        "), this client ", kProtocolVersion, " (", options_.hello.software(),
        "); use programs of the same version");
    return Leave(reason, absl::FailedPreconditionError(reason));
  }
  if (message.run() == run_ && message.term() < term_) {
    return LoseLink(
        absl::StrCat("the coordinator at ", server, " is of term ",
                     message.term(), ", but ", term_, " has begun already"),
        /*try_next=*/true);
  }
  if (peer_ >= PeerStage::kRunning && !SameTrainer(registered_, registered)) {
    return LoseLink(absl::StrCat("the coordinator at ", server,
                                 " has another run now: ", message.run()),
                    /*try_next=*/true);
  }
  const bool other_term = message.run() != run_ || message.term() != term_;
  const bool other_trainer = trainer_state_ == TrainerState::kNone ||
                             !SameTrainer(registered_, registered);
  run_ = message.run();
  term_ = message.term();
  registered_ = std::move(registered);
  if (link_ == Link::kDialing) up_since_ = now_;
  link_ = Link::kUp;
  last_error_.clear();
  told_failures_.clear();
  link_deadline_ = absl::InfiniteFuture();
  next_heartbeat_ = now_ + HeartbeatPause();
  outbox_.Restart();
  if (peer_ < PeerStage::kRunning) membership_.Clear();
  Say(LogLevel::kInfo,
      absl::StrCat("joined run ", run_, " at ", server, " as ",
                   options_.hello.name(), ", term ", term_,
                   registered_.has_part()
                       ? absl::StrCat(", part ", registered_.part(), " of ",
                                      registered_.parts())
                       : ""));
  if (job_ && (other_term || other_trainer)) {
    Say(LogLevel::kInfo,
        absl::StrCat("drops the ", JobText(), " of an earlier term"));
    DropJob();
  }
  if (other_trainer) {
    trainer_state_ = TrainerState::kMaking;
    effects_.push_back(session_effect::MakeTrainer{++trainer_, registered_});
  }
  if (!job_) return;
  if (job_->stage == Stage::kDownloading) {
    StartDownload();
  } else {
    Answer();  // again, if it was said before
  }
}

void SessionMachine::OnNotice(const v1::Notice& notice) {
  notice_ = notice.text();
  if (link_ == Link::kDialing) {
    link_ = Link::kWaiting;
    up_since_ = now_;
    last_error_.clear();
    Say(LogLevel::kInfo, WaitsFor());
  }
  if (link_ == Link::kWaiting) link_deadline_ = now_ + kDialTimeout;
}

void SessionMachine::OnGoodbye(const std::string& run,
                               const v1::Goodbye& goodbye) {
  const std::string text =
      absl::StrCat("the coordinator at ", options_.servers[server_],
                   " says: ", goodbye.reason());
  if (goodbye.run_over()) {
    Say(LogLevel::kInfo, absl::StrCat(text, "; the run is over"));
    return Exit(absl::OkStatus());
  }
  if (goodbye.more_runs() && link_ != Link::kUp && run_.empty()) {
    if (hello_.except_runs_size() >= kMaxExceptRuns) {
      hello_.mutable_except_runs()->DeleteSubrange(0, 1);
    }
    hello_.add_except_runs(run);
    return LoseLink(text, /*try_next=*/false);
  }
  if (goodbye.retry()) return LoseLink(text, /*try_next=*/true);
  Exit(absl::FailedPreconditionError(text));
}

// ----------------------------------------------------------------- the link

void SessionMachine::Dial() {
  link_ = Link::kDialing;
  link_deadline_ = now_ + kDialTimeout;
  effects_.push_back(
      session_effect::Dial{++connection_, options_.servers[server_]});
  v1::ClientMessage message;
  *message.mutable_register_() = hello_;
  // Its peer trains on it: a coordinator that was started anew may not know.
  if (peer_ >= PeerStage::kRunning && registered_.has_part()) {
    message.mutable_register_()->set_part(registered_.part());
  }
  // Else any run will do: the coordinator has one.
  if (registered_.more_runs()) message.set_run(run_);
  effects_.push_back(session_effect::Send{std::move(message)});
}

void SessionMachine::LoseLink(absl::string_view why, bool try_next) {
  if (link_ == Link::kUp || link_ == Link::kWaiting) {
    offline_since_ = now_;
    // One that keeps breaking at once is not dialled at full pace for ever.
    if (now_ - up_since_ >= kMaxDelay) dial_failures_ = 0;
  }
  StopTransfer();
  if (job_) {
    job_->retry_at = absl::InfiniteFuture();
    if (job_->stage == Stage::kUploading) job_->stage = Stage::kAnswered;
  }
  effects_.push_back(session_effect::HangUp{});
  ++connection_;  // what it said last is not heard any more
  next_heartbeat_ = absl::InfiniteFuture();
  notice_.clear();
  last_error_ = std::string(why);
  const absl::Duration delay = Delay(
      dial_failures_++,
      now_ - offline_since_ < absl::Minutes(1) ? kMaxDelay : kMaxDelayLater);
  link_ = Link::kPausing;
  link_deadline_ = now_ + delay;
  const std::string lost = options_.servers[server_];
  if (try_next) server_ = (server_ + 1) % options_.servers.size();
  // The same again is left to ReportWaiting.
  const std::string text = absl::StrCat("no connection to ", lost, ": ", why);
  if (!told_failures_.insert(text).second) return;
  Say(LogLevel::kWarning,
      absl::StrCat(text, "; tries ", options_.servers[server_], " in ",
                   Text(delay)));
}

void SessionMachine::Leave(absl::string_view reason, absl::Status status) {
  if (link_ != Link::kUp && link_ != Link::kWaiting &&
      link_ != Link::kDialing) {
    return Exit(status);
  }
  DropJob();
  v1::ClientMessage message;
  message.mutable_leave()->set_reason(std::string(reason));
  Send(std::move(message));
  exit_status_ = std::move(status);
  link_ = Link::kLeaving;
  link_deadline_ = now_ + kLeaveTimeout;
  next_heartbeat_ = absl::InfiniteFuture();
}

void SessionMachine::Exit(absl::Status status) {
  DropJob();
  if (link_ != Link::kNone) effects_.push_back(session_effect::HangUp{});
  link_ = Link::kOver;
  effects_.push_back(session_effect::Exit{std::move(status)});
}

void SessionMachine::Send(v1::ClientMessage message) {
  message.set_run(run_);
  message.set_term(term_);
  next_heartbeat_ = now_ + HeartbeatPause();  // any message renews the lease
  effects_.push_back(session_effect::Send{std::move(message)});
}

// --------------------------------------------------------------------- time

void SessionMachine::DoWhatIsDue() {
  if ((link_ == Link::kDialing || link_ == Link::kWaiting) &&
      now_ >= link_deadline_) {
    LoseLink(absl::StrCat("no answer within ", Text(kDialTimeout)),
             /*try_next=*/true);
  }
  if ((link_ == Link::kDialing || link_ == Link::kPausing) &&
      peer_ == PeerStage::kDone &&
      now_ >= std::max(offline_since_, peer_done_at_) + kLastWord) {
    Say(LogLevel::kWarning,
        absl::StrCat("all rounds are done, but the coordinator is gone: ",
                     outbox_.kept(), " rounds could not be reported"));
    return Exit(absl::OkStatus());
  }
  // A peer goes on without its rendezvous.
  if ((link_ == Link::kDialing || link_ == Link::kPausing) &&
      peer_ < PeerStage::kRunning &&
      now_ - offline_since_ >= options_.max_offline) {
    return Exit(absl::UnavailableError(absl::StrCat(
        "no coordinator at ", absl::StrJoin(options_.servers, ", "), " for ",
        Text(options_.max_offline), ": ",
        last_error_.empty() ? "no answer" : last_error_)));
  }
  if (link_ == Link::kPausing && now_ >= link_deadline_) Dial();
  if (link_ == Link::kLeaving && now_ >= link_deadline_) Exit(exit_status_);
  if (link_ != Link::kUp) return;
  TellOfRounds();
  if (job_ && now_ >= job_->retry_at) {
    if (job_->stage == Stage::kDownloading) {
      StartDownload();
    } else {
      Answer();
    }
  }
  if (transfer_ != 0 && now_ >= next_look_) {
    next_look_ = now_ + StallTime() / 4;
    effects_.push_back(session_effect::LookAtTransfer{});
  }
  if (now_ >= next_heartbeat_) SendHeartbeat();
}

void SessionMachine::SendHeartbeat() {
  v1::ClientMessage message;
  if (job_ && job_->stage == Stage::kWorking && job_->fraction) {
    *message.mutable_progress()->mutable_task() = job_->task;
    message.mutable_progress()->set_fraction(*job_->fraction);
  } else {
    message.mutable_heartbeat();
  }
  Send(std::move(message));
}

void SessionMachine::ReportWaiting() {
  if (options_.report_every == absl::InfiniteDuration()) return;
  if (link_ == Link::kLeaving || link_ == Link::kOver) {
    next_report_ = absl::InfiniteFuture();
    return;
  }
  // To dial and to pause in between is one wait.
  const Link link = link_ == Link::kPausing ? Link::kDialing : link_;
  const auto waits = std::tuple(
      link, trainer_state_, last_job_,
      job_ ? static_cast<int>(job_->stage) : -1 - static_cast<int>(peer_));
  if (waits != std::exchange(waits_, waits)) {
    waits_since_ = now_;
    next_report_ = now_ + options_.report_every;
  } else if (now_ >= next_report_) {
    next_report_ = now_ + options_.report_every;
    Say(LogLevel::kInfo,
        absl::StrCat(WaitsFor(), ", for ", Text(now_ - waits_since_)));
  }
}

std::string SessionMachine::WaitsFor() const {
  if (link_ == Link::kWaiting) {
    return absl::StrCat("the coordinator at ", options_.servers[server_],
                        " has no task yet: ", notice_);
  }
  if (link_ != Link::kUp) {
    return absl::StrCat("waits for the coordinator at ",
                        options_.servers[server_],
                        last_error_.empty() ? "" : ": ", last_error_);
  }
  if (!job_ || job_->stage == Stage::kFetched) {
    if (trainer_state_ == TrainerState::kMaking) return "loads its data";
    if (IsPeer()) return PeerWaitsFor();
    return absl::StrCat("waits for a task", notice_.empty() ? "" : ": ",
                        notice_);
  }
  const std::string job = JobText();
  switch (job_->stage) {
    case Stage::kDownloading:
      return absl::StrCat("downloads for the ", job);
    case Stage::kWorking:
      return absl::StrCat(
          "works on the ", job,
          job_->fraction
              ? absl::StrFormat(" (%.0f %% done)", 100 * *job_->fraction)
              : "");
    case Stage::kAnswered:
      return absl::StrCat("waits for the coordinator to ask for the ", job);
    case Stage::kUploading:
      return absl::StrCat("uploads the ", job);
    case Stage::kUploaded:
      return absl::StrCat("waits for the verdict on the ", job);
    default:
      return absl::StrCat("waits for the end of the ", job);
  }
}

void SessionMachine::SetWakeAt() {
  wake_at_ = std::min({link_deadline_, next_heartbeat_, next_report_});
  if (link_ == Link::kDialing || link_ == Link::kPausing) {
    wake_at_ = std::min(
        wake_at_, peer_ == PeerStage::kDone
                      ? std::max(offline_since_, peer_done_at_) + kLastWord
                  : peer_ == PeerStage::kRunning
                      ? absl::InfiniteFuture()
                      : offline_since_ + options_.max_offline);
  }
  if (link_ == Link::kUp) wake_at_ = std::min(wake_at_, outbox_.next_at());
  if (job_) wake_at_ = std::min(wake_at_, job_->retry_at);
  if (transfer_ != 0) wake_at_ = std::min(wake_at_, next_look_);
  if (link_ == Link::kOver) wake_at_ = absl::InfiniteFuture();
}

absl::Duration SessionMachine::HeartbeatPause() const {
  if (registered_.heartbeat_ms() <= 0) return absl::InfiniteDuration();
  return std::max(kMinHeartbeat,
                  absl::Milliseconds(registered_.heartbeat_ms()));
}

absl::Duration SessionMachine::StallTime() const {
  if (registered_.lease_ms() <= 0) return absl::InfiniteDuration();
  return kStallLeases * absl::Milliseconds(registered_.lease_ms());
}

absl::Duration SessionMachine::Delay(int failures, absl::Duration longest) {
  const absl::Duration full =
      std::min(longest, kFirstDelay * std::ldexp(1.0, std::min(failures, 20)));
  return full * (0.5 + 0.5 * jitter_.Uniform());
}

std::string SessionMachine::Text(absl::Duration d) {
  return absl::StrFormat("%.1f s", absl::ToDoubleSeconds(d));
}

void SessionMachine::Say(LogLevel level, std::string text) {
  effects_.push_back(session_effect::Say{level, std::move(text)});
}

}  // namespace parley
