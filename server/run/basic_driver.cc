#include "server/run/basic_driver.h"

#include <utility>

#include "common/base/status_macros.h"
#include "common/config/load.h"
#include "common/files/file_io.h"
#include "common/report/html_report.h"
#include "server/run/run_files.h"

namespace parley {

BasicDriver::BasicDriver(BasicDriverOptions options,
                         std::unique_ptr<RunStore> store)
    : options_(std::move(options)),
      store_(std::move(store)),
      rounds_before_(store_ == nullptr ? 0 : store_->committed_rounds()),
      elapsed_before_(store_ == nullptr ? absl::ZeroDuration()
                                        : store_->elapsed()),
      started_(options_.clock->Now()),
      sequence_(std::make_unique<Sequence>(options_.control)),
      files_(sequence_.get(), options_.control, options_.work),
      machine_timer_(options_.clock, sequence_.get()),
      watch_timer_(options_.clock, sequence_.get()) {
  status_.set_run(options_.config.name());
  status_.set_state(v1::WAITING);
  status_.set_rounds(options_.config.stop().rounds());
}

absl::Status BasicDriver::OpenFiles() {
  if (store_ == nullptr) return absl::OkStatus();
  PARLEY_ASSIGN_OR_RETURN(metrics_,
                          MetricsLog::Open(store_->Path(kMetricsFile)));
  PARLEY_RETURN_IF_ERROR(
      ReplaceFile(store_->Path(kRunFile), PrintRun(options_.config)));
  return store_->AppendOpened();
}

void BasicDriver::EndClose() {
  files_.Close();
  machine_timer_.Close();
  watch_timer_.Close();
  sequence_.reset();
}

void BasicDriver::OnSequence(Closure f) {
  sequence_->Post([this, f = std::move(f)]() mutable {
    if (!closing_) std::move(f)();
  });
}

void BasicDriver::Start() {
  OnSequence([this] { Bring(event::TimerFired{}); });
}

void BasicDriver::Stop(const std::string& reason) {
  OnSequence([this, reason] { Bring(event::StopRequested{reason}); });
}

// ------------------------------------------------------------------- sessions

SessionId BasicDriver::OpenSession(PeerIdentity peer,
                                   std::shared_ptr<SessionSink> sink) {
  const SessionId id = ++last_session_;
  OnSequence([this, id, peer = std::move(peer), sink = std::move(sink)] {
    sessions_[id] = sink;
    Bring(event::SessionOpened{id, peer});
  });
  return id;
}

void BasicDriver::Receive(SessionId session, v1::ClientMessage message) {
  OnSequence([this, session, message = std::move(message)]() mutable {
    if (!sessions_.contains(session)) return;  // crossed its end
    Bring(event::MessageReceived{session, std::move(message)});
  });
}

void BasicDriver::CloseSession(SessionId session, const absl::Status& why) {
  OnSequence([this, session, why] {
    if (sessions_.erase(session) == 0) return;
    Bring(event::SessionClosed{session, why});
  });
}

void BasicDriver::Perform(effect::Send& e) {
  const auto it = sessions_.find(e.session);
  if (it == sessions_.end()) return;
  if (e.chunks != nullptr) {
    it->second->SendWithChunks(std::move(e.message), std::move(e.chunks));
  } else if (e.ahead) {
    it->second->SendAhead(std::move(e.message));
  } else {
    it->second->Send(std::move(e.message));
  }
}

void BasicDriver::Perform(effect::EndSession& e) {
  const auto it = sessions_.find(e.session);
  if (it == sessions_.end()) return;
  const std::shared_ptr<SessionSink> sink = std::move(it->second);
  sessions_.erase(it);
  sink->Close(e.why);
}

// ----------------------------------------------------------- timer, log, files

void BasicDriver::Perform(effect::SetTimer& e) {
  machine_timer_.Set(e.when, [this] { Bring(event::TimerFired{}); });
}

void BasicDriver::Perform(effect::Say& e) {
  if (options_.say) {
    options_.say(e.level, e.text);
  } else {
    Log(e.level, e.text);
  }
}

void BasicDriver::Append(const v1::JournalRecord& record) {
  if (store_ == nullptr) return;
  if (absl::Status status = store_->Append(record); !status.ok()) {
    Fail(status);
  }
}

void BasicDriver::Append(const RoundReport& report) {
  if (metrics_ == nullptr) return;
  if (absl::Status status = metrics_->Append(report); !status.ok()) {
    Fail(status);
  }
}

void BasicDriver::SyncJournal() {
  if (store_ == nullptr) return;
  unsynced_ = true;
  if (std::exchange(syncing_, true)) return;
  unsynced_ = false;
  const auto status = std::make_shared<absl::Status>();  // with the job
  files_.Run([this, status] { *status = store_->Sync(); },
             [this, status] {
               syncing_ = false;
               if (!status->ok()) return Fail(*status);
               // The end syncs once more by itself.
               if (unsynced_ && !run_over_) SyncJournal();
             });
}

// ------------------------------------------------------------------- watchers

uint64_t BasicDriver::Watch(StatusCallback on_change) {
  const uint64_t id = board_.Add(std::move(on_change));
  OnSequence([this, id] {
    // Between the end and the last file the final status is still to be told.
    if (!run_over_ || finished_) board_.Tell(id, Status());
  });
  return id;
}

void BasicDriver::HurryChange() {
  OnSequence([this] { told_at_ = absl::InfinitePast(); });
}

void BasicDriver::Perform(effect::StatusChanged& e) {
  status_ = std::move(e.status);
  const bool over = status_.state() == v1::FINISHED ||
                    status_.state() == v1::STOPPED ||
                    status_.state() == v1::FAILED;
  if (!over) return TellWatchers();  // the end is told once all is written
  if (options_.on_over) std::exchange(options_.on_over, nullptr)();
}

void BasicDriver::TellWatchers() {
  constexpr absl::Duration kEvery = absl::Milliseconds(100);
  if (watch_timer_.pending() || board_.empty()) return;
  const absl::Time now = options_.clock->Now();
  if (now < told_at_ + kEvery) {
    watch_timer_.Set(told_at_ + kEvery, [this] { TellWatchers(); });
    return;
  }
  told_at_ = now;
  board_.TellAll(Status());
}

double BasicDriver::Seconds() {
  return absl::ToDoubleSeconds(elapsed_before_ + options_.clock->Now() -
                               started_);
}

v1::RunStatus BasicDriver::Status() {
  if (finished_) return status_;
  v1::RunStatus status = status_;
  status.set_seconds(Seconds());
  const int64_t over = RoundsOver(status);
  if (status.state() == v1::RUNNING && over > rounds_before_) {
    status.set_eta_seconds(
        (Seconds() - absl::ToDoubleSeconds(elapsed_before_)) /
        static_cast<double>(over - rounds_before_) *
        static_cast<double>(status.rounds() - over));
  }
  status.set_folder(options_.folder);
  *status.mutable_tags() = options_.config.tags();
  return status;
}

// -------------------------------------------------------------------- the end

void BasicDriver::Fail(const absl::Status& status) {
  if (!failure_.ok()) return;
  failure_ = status;
  Log(LogLevel::kError, status.message());
  if (!run_over_) {
    Bring(event::StopRequested{std::string(status.message()), v1::FAILED});
  }
}

void BasicDriver::BeginEnd(const effect::EndRun& e) {
  run_over_ = true;
  machine_timer_.Cancel();
  watch_timer_.Cancel();
  status_.set_state(e.state);
  status_.set_detail(e.reason);
}

void BasicDriver::FinishEnd() {
  status_ = Status();
  RecordEnd();
  const auto written = std::make_shared<absl::Status>();  // with the job
  files_.Run([this, written] { *written = WriteEnd(status_); },
             [this, written] {
               if (!written->ok()) {
                 Fail(*written);
                 RecordEnd();
               }
               TellEnd();
             });
}

// The journal's last word is the status's, where it can be written at all.
void BasicDriver::RecordEnd() {
  v1::JournalRecord record;
  v1::RunEnded& ended = *record.mutable_run_ended();
  const auto append = [&] {
    if (!failure_.ok()) {
      status_.set_state(v1::FAILED);
      status_.set_detail(std::string(failure_.message()));
    }
    ended.set_state(v1::RunState_Name(status_.state()));
    ended.set_reason(status_.detail());
    return store_ == nullptr ? absl::OkStatus() : store_->Append(record);
  };
  if (const absl::Status status = append(); !status.ok() && failure_.ok()) {
    Fail(status);
    (void)append();  // the run failed anyway
  }
}

absl::Status BasicDriver::WriteEnd(const v1::RunStatus& status) {
  if (store_ == nullptr) return absl::OkStatus();
  PARLEY_RETURN_IF_ERROR(store_->Sync());
  PARLEY_RETURN_IF_ERROR(
      ReplaceFile(store_->Path(kStatusFile), StatusJson(status)));
  // It only shows what the other files say: the run is good without it.
  if (const absl::Status report =
          WriteReport(options_.config, status, options_.folder);
      !report.ok()) {
    LogWarning("there is no ", kReportFile, ": ", report.message());
  }
  return absl::OkStatus();
}

void BasicDriver::TellEnd() {
  finished_ = true;
  board_.TellAll(status_);
  if (options_.on_end) options_.on_end(status_);
  MutexLock lock(mu_);
  ended_ = true;
  changed_.SignalAll();
}

v1::RunStatus BasicDriver::Wait() {
  MutexLock lock(mu_);
  while (!ended_) changed_.Wait(mu_);
  return status_;  // does not change any more
}

}  // namespace parley
