#include "server/round/round_driver.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/load.h"
#include "common/files/file_io.h"
#include "common/files/safetensors.h"
#include "common/report/html_report.h"
#include "common/wire/protocol.h"
#include "server/round/round_summary.h"

namespace parley {

absl::StatusOr<std::unique_ptr<RoundDriver>> RoundDriver::Create(
    RoundDriverOptions options) {
  if (options.config.has_gossip()) {
    return absl::InvalidArgumentError(
        "this run is gossip between peers: no coordinator runs its rounds");
  }
  if (options.work == nullptr) options.work = options.control;
  std::unique_ptr<RunStore> store;
  std::unique_ptr<CheckpointReader> checkpoint;
  if (!options.folder.empty()) {
    PARLEY_ASSIGN_OR_RETURN(store,
                            RunStore::Open({.folder = options.folder,
                                            .config = options.config,
                                            .resume = options.resume,
                                            .durable = options.durable}));
    checkpoint = store->TakeCheckpoint();
  }
  const bool measures =  // a replay compares models alone
      options.config.diagnostics().has_direction_gap() &&
      options.script.empty();
  PARLEY_ASSIGN_OR_RETURN(
      RunModel model,
      MakeRunModel(options.config, checkpoint == nullptr || measures,
                   options.parallel));
  std::unique_ptr<DirectionMeter> meter;
  if (measures) {
    meter = std::make_unique<DirectionMeter>(DirectionMeterOptions{
        .config = options.config,
        .start = model.start.Clone(),
        .folder = options.folder,
        .committed_rounds = store == nullptr ? 0 : store->committed_rounds(),
        .parallel = options.parallel});
  }
  PARLEY_ASSIGN_OR_RETURN(
      auto model_store,
      ModelStore::Create(options.config.aggregation(), options.strategies,
                         model.shared, std::move(model.start),
                         options.parallel));
  if (checkpoint != nullptr) {
    PARLEY_RETURN_IF_ERROR(model_store->Restore(*checkpoint));
  }
  std::string token_key(32, '\0');
  if (getentropy(token_key.data(), token_key.size()) != 0) {
    return absl::ErrnoToStatus(errno, "no random numbers for the tokens");
  }
  RoundMachineOptions machine;
  machine.config = options.config;
  machine.run = options.config.name();
  machine.spec = model.spec;
  if (store != nullptr) {
    machine.term = store->term();
    machine.run_id = store->run_id();
    machine.committed_rounds = store->committed_rounds();
    machine.elapsed = store->elapsed();
    machine.next_values = store->next_values();
  }
  machine.token_key = std::move(token_key);
  machine.script = options.script;

  std::unique_ptr<RoundDriver> driver(new RoundDriver(
      std::move(options), std::move(model), std::move(model_store),
      std::move(store), std::move(meter)));
  driver->next_values_ = machine.next_values;
  driver->machine_ = std::make_unique<RoundMachine>(std::move(machine));
  PARLEY_RETURN_IF_ERROR(driver->OpenFiles());
  return driver;
}

RoundDriver::RoundDriver(RoundDriverOptions options, RunModel model,
                         std::unique_ptr<ModelStore> model_store,
                         std::unique_ptr<RunStore> store,
                         std::unique_ptr<DirectionMeter> meter)
    : options_(std::move(options)),
      store_(std::move(store)),
      evaluator_(std::move(model.evaluator)),
      meter_(std::move(meter)),
      model_(std::move(model_store)),
      first_round_(store_ == nullptr ? 0 : store_->committed_rounds()),
      elapsed_before_(store_ == nullptr ? absl::ZeroDuration()
                                        : store_->elapsed()),
      stall_time_(kStallLeases *
                  absl::Seconds(options_.config.limits().lease_seconds())),
      started_(options_.clock->Now()),
      regions_({.memory_bytes = static_cast<uint64_t>(
                    options_.config.limits().staging_bytes()),
                .disk_bytes = static_cast<uint64_t>(
                    options_.config.limits().staging_disk_bytes()),
                .folder = options_.folder}),
      staging_(&regions_),
      sequence_(std::make_unique<Sequence>(options_.control)),
      compute_(sequence_.get(), options_.control, options_.work),
      files_(sequence_.get(), options_.control, options_.work),
      machine_timer_(options_.clock, sequence_.get()),
      watch_timer_(options_.clock, sequence_.get()),
      patience_timer_(options_.clock, sequence_.get()),
      stall_timer_(options_.clock, sequence_.get()) {
  status_.set_run(options_.config.name());
  status_.set_state(v1::WAITING);
  status_.set_rounds(options_.config.stop().rounds());
}

absl::Status RoundDriver::OpenFiles() {
  if (store_ == nullptr) return absl::OkStatus();
  PARLEY_ASSIGN_OR_RETURN(metrics_,
                          MetricsLog::Open(store_->Path(kMetricsFile)));
  PARLEY_RETURN_IF_ERROR(
      ReplaceFile(store_->Path(kRunFile), PrintRun(options_.config)));
  return store_->AppendOpened();
}

RoundDriver::~RoundDriver() {
  closing_ = true;
  if (meter_ != nullptr) meter_->Cancel();
  compute_.Close();
  files_.Close();
  machine_timer_.Close();
  watch_timer_.Close();
  patience_timer_.Close();
  stall_timer_.Close();
  sequence_.reset();
}

void RoundDriver::Start() {
  OnSequence([this] { Handle(event::TimerFired{}); });
}

v1::RunStatus RoundDriver::Wait() {
  MutexLock lock(mu_);
  while (!ended_) changed_.Wait(mu_);
  return status_;  // does not change any more
}

void RoundDriver::OnSequence(Closure f) {
  sequence_->Post([this, f = std::move(f)]() mutable {
    if (!closing_) std::move(f)();
  });
}

void RoundDriver::Handle(RoundEvent event) {
  events_.push_back(std::move(event));
  if (stepping_) return;  // the loop below, of a caller, takes it
  stepping_ = true;
  while (!events_.empty()) {
    RoundEvent next = std::move(events_.front());
    events_.pop_front();
    std::vector<RoundEffect> effects =
        machine_->Step(std::move(next), options_.clock->Now());
    last_sends_.clear();
    for (const RoundEffect& effect : effects) {
      if (const auto* send = std::get_if<effect::Send>(&effect)) {
        last_sends_[send->session] = send;
      }
    }
    for (RoundEffect& effect : effects) {
      std::visit([this](auto& e) { Perform(e); }, effect);
    }
  }
  stepping_ = false;
}

// -------------------------------------------------------- what transports call

SessionId RoundDriver::OpenSession(PeerIdentity peer,
                                   std::shared_ptr<SessionSink> sink) {
  const SessionId id = ++last_session_;
  OnSequence([this, id, peer = std::move(peer), sink = std::move(sink)] {
    sessions_[id] = sink;
    Handle(event::SessionOpened{id, peer});
  });
  return id;
}

void RoundDriver::Receive(SessionId session, v1::ClientMessage message) {
  OnSequence([this, session, message = std::move(message)]() mutable {
    if (!sessions_.contains(session)) return;  // crossed its end
    Handle(event::MessageReceived{session, std::move(message)});
  });
}

void RoundDriver::CloseSession(SessionId session, const absl::Status& why) {
  OnSequence([this, session, why] {
    if (sessions_.erase(session) == 0) return;
    Handle(event::SessionClosed{session, why});
  });
}

void RoundDriver::OpenDownload(const v1::DownloadRequest& request,
                               DownloadReady ready, BreakOff break_off) {
  OnSequence([this, request, ready = std::move(ready),
              break_off = std::move(break_off)]() mutable {
    const TransferId id = ++last_transfer_;
    asked_[id] = {std::move(ready), nullptr, std::move(break_off)};
    Handle(event::DownloadRequested{id, std::move(request)});
  });
}

void RoundDriver::OpenUpload(const v1::TransferHeader& header,
                             UploadReady ready, BreakOff break_off) {
  OnSequence([this, header, ready = std::move(ready),
              break_off = std::move(break_off)]() mutable {
    const TransferId id = ++last_transfer_;
    asked_[id] = {nullptr, std::move(ready), std::move(break_off)};
    Handle(event::UploadRequested{id, std::move(header)});
  });
}

uint64_t RoundDriver::Watch(StatusCallback on_change) {
  const uint64_t id = board_.Add(std::move(on_change));
  OnSequence([this, id] {
    // Between the end and the last file the final status is still to be told.
    if (!run_over_ || finished_) board_.Tell(id, Status());
  });
  return id;
}

void RoundDriver::HurryChange() {
  OnSequence([this] { told_at_ = absl::InfinitePast(); });
}

void RoundDriver::Stop(const std::string& reason) {
  OnSequence([this, reason] { Handle(event::StopRequested{reason}); });
}

// --------------------------------------------------------------------- status

double RoundDriver::Seconds() {
  return absl::ToDoubleSeconds(elapsed_before_ + options_.clock->Now() -
                               started_);
}

v1::RunStatus RoundDriver::Status() {
  if (finished_) return status_;
  v1::RunStatus status = status_;
  status.set_seconds(Seconds());
  const int64_t done = status.round() - first_round_;
  if (status.state() == v1::RUNNING && done > 0) {
    status.set_eta_seconds(
        (Seconds() - absl::ToDoubleSeconds(elapsed_before_)) /
        static_cast<double>(done) *
        static_cast<double>(status.rounds() - status.round()));
  }
  status.set_folder(options_.folder);
  *status.mutable_tags() = options_.config.tags();
  return status;
}

void RoundDriver::TellWatchers() {
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

// ------------------------------------------------------------------------ end

void RoundDriver::Fail(const absl::Status& status) {
  if (!failure_.ok()) return;
  failure_ = status;
  Log(LogLevel::kError, status.message());
  if (!run_over_) {
    Handle(event::StopRequested{std::string(status.message()), v1::FAILED});
  }
}

void RoundDriver::Perform(effect::EndRun& e) {
  run_over_ = true;
  machine_timer_.Cancel();
  watch_timer_.Cancel();
  patience_timer_.Cancel();
  stall_timer_.Cancel();
  if (meter_ != nullptr) meter_->Cancel();
  status_.set_state(e.state);
  status_.set_detail(e.reason);
  // After what the lanes have under way, the last checkpoint included.
  compute_.Run([] {},
               [this] {
                 const auto written =
                     std::make_shared<absl::Status>();  // with the job
                 files_.Run([this, written] { *written = WriteModel(); },
                            [this, written] {
                              if (!written->ok()) Fail(*written);
                              status_ = Status();
                              RecordEnd();
                              TellEnd();
                            });
               });
}

// The journal's last word is the status's, where it can be written at all.
void RoundDriver::RecordEnd() {
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

void RoundDriver::TellEnd() {
  const auto written = std::make_shared<absl::Status>();  // with the job
  files_.Run([this, written] { *written = WriteStatus(status_); },
             [this, written] {
               if (!written->ok()) {
                 Fail(*written);
                 RecordEnd();
               }
               FinishRun();
             });
}

absl::Status RoundDriver::WriteModel() {
  if (store_ == nullptr || !model_->whole()) return absl::OkStatus();
  return WriteSafetensors(store_->Path(kModelFile), model_->spec(),
                          *model_->model());
}

absl::Status RoundDriver::WriteStatus(const v1::RunStatus& status) {
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

void RoundDriver::FinishRun() {
  finished_ = true;
  board_.TellAll(status_);
  if (options_.on_end) options_.on_end(status_);
  MutexLock lock(mu_);
  ended_ = true;
  changed_.SignalAll();
}

}  // namespace parley
