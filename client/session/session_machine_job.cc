// The machine's dealings with its task, from the download to TaskOver.
#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/session/session_machine.h"

namespace parley {
namespace {

bool SameTask(const v1::TaskId& a, const v1::TaskId& b) {
  return std::tie(a.run(), a.client()) == std::tie(b.run(), b.client()) &&
         a.term() == b.term() && a.round() == b.round() &&
         a.phase() == b.phase() && a.attempt() == b.attempt();
}

// A transfer that failed for a reason that may pass.
bool MayPass(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return false;
    default:
      return true;
  }
}

// The coordinator wants the transfer no more, or never did.
bool IsOver(const absl::Status& status) {
  return absl::IsAborted(status) || absl::IsNotFound(status);
}

}  // namespace

// ------------------------------------------------------- transfers and work

void SessionMachine::On(const session_event::TransferEnded& event) {
  if (event.transfer != transfer_ || !job_) return;
  transfer_ = 0;
  const absl::Status& status = event.status;
  const bool download = job_->stage == Stage::kDownloading;
  if (status.ok()) {
    job_->failures = 0;
    job_->stage = download ? Stage::kFetched : Stage::kUploaded;
    return WorkIfReady();
  }
  const std::string what =
      absl::StrCat(download ? "download" : "upload", " for the ", JobText(),
                   ": ", status.ToString());
  if (IsOver(status)) {
    Say(LogLevel::kInfo, absl::StrCat(what, "; drops the task"));
    return DropJob();
  }
  if (!download) job_->stage = Stage::kAnswered;
  if (MayPass(status)) {
    // For an upload: asks again for leave, unless it is granted anew before.
    const absl::Duration delay = Delay(job_->failures++, kMaxDelay);
    job_->retry_at = now_ + delay;
    return Say(LogLevel::kWarning,
               absl::StrCat(what, "; tries again in ", Text(delay)));
  }
  if (download) return FailJob(what);
  Say(LogLevel::kWarning, what);  // the verdict follows
}

void SessionMachine::On(const session_event::TransferMoved& event) {
  if (event.transfer != transfer_) return;
  if (transfer_chunks_ != event.chunks) {
    transfer_chunks_ = event.chunks;
    transfer_progress_ = now_;
  } else if (now_ - transfer_progress_ >= StallTime()) {
    effects_.push_back(session_effect::StopTransfer{});
    On(session_event::TransferEnded{
        transfer_, absl::DeadlineExceededError(absl::StrCat(
                       "no chunk moved for ", Text(StallTime())))});
  }
}

void SessionMachine::On(session_event::Worked& event) {
  if (!job_ || event.job != job_->number || job_->stage != Stage::kWorking) {
    return;
  }
  if (!event.result.ok()) return FailJob(event.result.status().message());
  job_->result = *std::move(event.result);
  *job_->result.mutable_task() = job_->task;
  job_->result.set_base_version(job_->model_version);
  job_->result.set_contributors(1);
  job_->stage = Stage::kAnswered;
  Say(LogLevel::kInfo,
      absl::StrCat("done: ", JobText(), ", ",
                   Text(absl::Seconds(job_->result.seconds())), ", ",
                   absl::StrJoin(job_->result.scalars(), ", ",
                                 absl::PairFormatter(" "))));
  Answer();
}

// ----------------------------------------------------------------- messages

void SessionMachine::OnTask(v1::Task& task) {
  const v1::TaskId& id = task.task();
  if (id.client() != options_.hello.name() || id.run() != run_ ||
      id.term() != term_) {
    return Say(LogLevel::kWarning, "ignores a task that is not for it");
  }
  if (IsCurrent(id)) return Answer();
  DropJob();
  job_ = Job{.number = ++last_job_,
             .task = id,
             .kind = task.kind(),
             .model_version = task.model_version()};
  const auto& kinds = options_.hello.kinds();
  if (std::find(kinds.begin(), kinds.end(), task.kind()) == kinds.end()) {
    return FailJob(
        absl::StrCat("this client does not know tasks of kind ", task.kind()));
  }
  job_->open = true;
  effects_.push_back(session_effect::OpenJob{job_->number, std::move(task)});
  StartDownload();
}

void SessionMachine::OnGrant(const v1::GrantUpload& grant) {
  if (!IsCurrent(grant.task())) return;
  switch (job_->stage) {
    case Stage::kAnswered:
    case Stage::kUploading:
    case Stage::kUploaded:
    case Stage::kAccepted:
      break;
    case Stage::kFailed:
      return Answer();
    default:
      return Say(LogLevel::kWarning,
                 absl::StrCat("ignores leave to upload before the ", JobText(),
                              " is done"));
  }
  StopTransfer();
  job_->stage = Stage::kUploading;
  job_->retry_at = absl::InfiniteFuture();
  effects_.push_back(session_effect::StartUpload{
      BeginTransfer(), registered_.token(), grant.offset()});
}

void SessionMachine::OnVerdict(const v1::Verdict& verdict) {
  if (!IsCurrent(verdict.task()) || job_->stage < Stage::kAnswered ||
      job_->stage == Stage::kFailed) {
    return;
  }
  if (!verdict.accepted()) {
    Say(LogLevel::kWarning, absl::StrCat("the coordinator refused the ",
                                         JobText(), ": ", verdict.reason()));
    FreeNumbers();
    job_->stage = Stage::kFailed;
    job_->reason = absl::StrCat("refused before: ", verdict.reason());
    job_->retry_at = absl::InfiniteFuture();
    return;
  }
  StopTransfer();
  job_->retry_at = absl::InfiniteFuture();
  job_->stage = Stage::kAccepted;
}

void SessionMachine::OnTaskOver(const v1::TaskOver& over) {
  if (!IsCurrent(over.task())) return;
  if (!over.counted()) {
    Say(LogLevel::kInfo,
        absl::StrCat("the ", JobText(), " does not count: ", over.reason()));
  }
  DropJob();
}

// ------------------------------------------------------------------ the job

bool SessionMachine::IsCurrent(const v1::TaskId& task) const {
  return job_ && SameTask(job_->task, task);
}

void SessionMachine::StartDownload() {
  job_->retry_at = absl::InfiniteFuture();
  effects_.push_back(
      session_effect::StartDownload{BeginTransfer(), registered_.token()});
}

uint64_t SessionMachine::BeginTransfer() {
  transfer_ = ++last_transfer_;
  transfer_chunks_.reset();
  next_look_ = now_ + StallTime() / 4;
  return transfer_;
}

void SessionMachine::StopTransfer() {
  if (std::exchange(transfer_, 0) == 0) return;
  effects_.push_back(session_effect::StopTransfer{});
}

void SessionMachine::WorkIfReady() {
  if (!job_ || job_->stage != Stage::kFetched ||
      trainer_state_ != TrainerState::kReady) {
    return;
  }
  job_->stage = Stage::kWorking;
  effects_.push_back(session_effect::Work{job_->number});
}

// Tells how the task went, if that is known. To say it twice does no harm.
void SessionMachine::Answer() {
  if (link_ != Link::kUp) return;
  v1::ClientMessage message;
  if (job_->stage == Stage::kFailed) {
    *message.mutable_task_failed()->mutable_task() = job_->task;
    message.mutable_task_failed()->set_reason(job_->reason);
  } else if (job_->stage >= Stage::kAnswered) {
    *message.mutable_update_ready() = job_->result;
  } else {
    return;
  }
  job_->retry_at = absl::InfiniteFuture();
  Send(std::move(message));
}

void SessionMachine::FailJob(absl::string_view reason) {
  FreeNumbers();
  job_->stage = Stage::kFailed;
  job_->reason = std::string(reason);
  job_->retry_at = absl::InfiniteFuture();
  Say(LogLevel::kWarning, absl::StrCat("the ", JobText(), " failed: ", reason));
  Answer();
}

void SessionMachine::DropJob() {
  if (!job_) return;
  FreeNumbers();
  job_.reset();
}

void SessionMachine::FreeNumbers() {
  StopTransfer();
  if (!std::exchange(job_->open, false)) return;
  effects_.push_back(session_effect::DropJob{});
}

std::string SessionMachine::JobText() const {
  return absl::StrCat(job_->kind == v1::EVALUATE ? "evaluation" : "training",
                      " of round ", job_->task.round());
}

}  // namespace parley
