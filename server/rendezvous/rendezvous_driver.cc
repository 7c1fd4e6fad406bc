#include "server/rendezvous/rendezvous_driver.h"

#include <unistd.h>

#include <cerrno>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/load.h"
#include "common/config/start.h"
#include "common/files/file_io.h"
#include "common/report/gossip_facts.h"
#include "common/report/html_report.h"
#include "common/wire/protocol.h"
#include "common/wire/spec.h"
#include "server/round/round_summary.h"

namespace parley {

absl::StatusOr<std::unique_ptr<RendezvousDriver>> RendezvousDriver::Create(
    RendezvousDriverOptions options) {
  if (options.config.data().partition().parts() < 1) {
    return absl::InvalidArgumentError(
        "data.partition.parts is not set: where gossip's peers bring data of "
        "their own it has to say how many there are");
  }
  RendezvousMachineOptions machine;
  PARLEY_ASSIGN_OR_RETURN(machine.spec, ModelSpecOf(options.config));
  if (TravellingSpec(machine.spec).elements() != machine.spec.elements()) {
    return absl::InvalidArgumentError(
        "gossip mixes all tensors of a model, and this one has LOCAL ones");
  }
  PARLEY_ASSIGN_OR_RETURN(const GossipFacts facts,
                          GossipFactsOf(options.config));
  machine.contraction = facts.contraction;
  PARLEY_ASSIGN_OR_RETURN(std::unique_ptr<RunStore> store,
                          RunStore::Open({.folder = options.folder,
                                          .config = options.config,
                                          .resume = options.resume}));
  machine.token_key.assign(32, '\0');
  if (getentropy(machine.token_key.data(), machine.token_key.size()) != 0) {
    return absl::ErrnoToStatus(errno, "no random numbers for the tokens");
  }
  machine.config = options.config;
  machine.run = options.config.name();
  machine.term = store->term();
  machine.run_id = store->run_id();
  machine.membership = store->membership();
  machine.told_rounds = store->committed_rounds();
  std::unique_ptr<RendezvousDriver> driver(new RendezvousDriver(
      std::move(options), std::move(store), std::move(machine)));
  PARLEY_RETURN_IF_ERROR(driver->OpenFiles());
  return driver;
}

RendezvousDriver::RendezvousDriver(RendezvousDriverOptions options,
                                   std::unique_ptr<RunStore> store,
                                   RendezvousMachineOptions machine)
    : options_(std::move(options)),
      store_(std::move(store)),
      elapsed_before_(store_->elapsed()),
      first_round_(store_->committed_rounds()),
      started_(options_.clock->Now()),
      machine_(std::move(machine)),
      sequence_(std::make_unique<Sequence>(options_.control)),
      files_(sequence_.get(), options_.control, options_.work),
      machine_timer_(options_.clock, sequence_.get()),
      watch_timer_(options_.clock, sequence_.get()) {
  status_.set_run(options_.config.name());
  status_.set_state(v1::WAITING);
  status_.set_rounds(options_.config.stop().rounds());
}

absl::Status RendezvousDriver::OpenFiles() {
  PARLEY_ASSIGN_OR_RETURN(metrics_,
                          MetricsLog::Open(store_->Path(kMetricsFile)));
  PARLEY_RETURN_IF_ERROR(
      ReplaceFile(store_->Path(kRunFile), PrintRun(options_.config)));
  return store_->AppendOpened();
}

RendezvousDriver::~RendezvousDriver() {
  closing_ = true;
  files_.Close();
  machine_timer_.Close();
  watch_timer_.Close();
  sequence_.reset();
}

void RendezvousDriver::Start() {
  OnSequence([this] { Handle(event::TimerFired{}); });
}

void RendezvousDriver::OnSequence(Closure f) {
  sequence_->Post([this, f = std::move(f)]() mutable {
    if (!closing_) std::move(f)();
  });
}

void RendezvousDriver::Handle(RendezvousEvent event) {
  events_.push_back(std::move(event));
  if (stepping_) return;  // the loop below, of a caller, takes it
  stepping_ = true;
  while (!events_.empty()) {
    RendezvousEvent next = std::move(events_.front());
    events_.pop_front();
    for (RendezvousEffect& effect :
         machine_.Step(std::move(next), options_.clock->Now())) {
      std::visit([this](auto& e) { Perform(e); }, effect);
    }
  }
  stepping_ = false;
}

// -------------------------------------------------------- what transports call

SessionId RendezvousDriver::OpenSession(PeerIdentity peer,
                                        std::shared_ptr<SessionSink> sink) {
  const SessionId id = ++last_session_;
  OnSequence([this, id, peer = std::move(peer), sink = std::move(sink)] {
    sessions_[id] = sink;
    Handle(event::SessionOpened{id, peer});
  });
  return id;
}

void RendezvousDriver::Receive(SessionId session, v1::ClientMessage message) {
  OnSequence([this, session, message = std::move(message)]() mutable {
    if (!sessions_.contains(session)) return;  // crossed its end
    Handle(event::MessageReceived{session, std::move(message)});
  });
}

void RendezvousDriver::CloseSession(SessionId session,
                                    const absl::Status& why) {
  OnSequence([this, session, why] {
    if (sessions_.erase(session) == 0) return;
    Handle(event::SessionClosed{session, why});
  });
}

void RendezvousDriver::OpenDownload(const v1::DownloadRequest&,
                                    DownloadReady ready, BreakOff) {
  OnSequence([ready = std::move(ready)]() mutable {
    std::move(ready)(absl::NotFoundError("a gossip run has no tasks"));
  });
}

void RendezvousDriver::OpenUpload(const v1::TransferHeader&, UploadReady ready,
                                  BreakOff) {
  OnSequence([ready = std::move(ready)]() mutable {
    std::move(ready)(absl::NotFoundError("a gossip run has no tasks"));
  });
}

uint64_t RendezvousDriver::Watch(StatusCallback on_change) {
  const uint64_t id = board_.Add(std::move(on_change));
  OnSequence([this, id] {
    // Between the end and the last file the final status is still to be told.
    if (!run_over_ || finished_) board_.Tell(id, Status());
  });
  return id;
}

void RendezvousDriver::HurryChange() {
  OnSequence([this] { told_at_ = absl::InfinitePast(); });
}

void RendezvousDriver::Stop(const std::string& reason) {
  OnSequence([this, reason] { Handle(event::StopRequested{reason}); });
}

// -------------------------------------------------------------------- effects

void RendezvousDriver::Perform(effect::Send& e) {
  const auto it = sessions_.find(e.session);
  if (it != sessions_.end()) it->second->Send(e.message);
}

void RendezvousDriver::Perform(effect::EndSession& e) {
  const auto it = sessions_.find(e.session);
  if (it == sessions_.end()) return;
  const std::shared_ptr<SessionSink> sink = std::move(it->second);
  sessions_.erase(it);
  sink->Close(e.why);
}

void RendezvousDriver::Perform(effect::Record& e) {
  if (absl::Status status = store_->Append(e.record); !status.ok()) {
    return Fail(status);
  }
  const auto status = std::make_shared<absl::Status>();  // with the job
  files_.Run([this, status] { *status = store_->Sync(); },
             [this, status] {
               if (!status->ok()) Fail(*status);
             });
}

void RendezvousDriver::Perform(effect::TellRound& e) {
  e.report.elapsed_seconds = Seconds();
  if (absl::Status status = metrics_->Append(e.report); !status.ok()) {
    Fail(status);
  }
}

void RendezvousDriver::Perform(effect::SetTimer& e) {
  machine_timer_.Set(e.when, [this] { Handle(event::TimerFired{}); });
}

void RendezvousDriver::Perform(effect::StatusChanged& e) {
  status_ = std::move(e.status);
  const bool over = status_.state() == v1::FINISHED ||
                    status_.state() == v1::STOPPED ||
                    status_.state() == v1::FAILED;
  if (!over) return TellWatchers();  // the end is told once all is written
  if (options_.on_over) std::exchange(options_.on_over, nullptr)();
}

void RendezvousDriver::Perform(effect::Say& e) {
  if (options_.say) {
    options_.say(e.level, e.text);
  } else {
    Log(e.level, e.text);
  }
}

// --------------------------------------------------------------------- status

double RendezvousDriver::Seconds() {
  return absl::ToDoubleSeconds(elapsed_before_ + options_.clock->Now() -
                               started_);
}

v1::RunStatus RendezvousDriver::Status() {
  if (finished_) return status_;
  v1::RunStatus status = status_;
  status.set_seconds(Seconds());
  const int64_t done = status.round() - 1 - first_round_;
  if (status.state() == v1::RUNNING && done > 0) {
    status.set_eta_seconds(
        (Seconds() - absl::ToDoubleSeconds(elapsed_before_)) /
        static_cast<double>(done) *
        static_cast<double>(status.rounds() - status.round() + 1));
  }
  status.set_folder(options_.folder);
  *status.mutable_tags() = options_.config.tags();
  return status;
}

void RendezvousDriver::TellWatchers() {
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

void RendezvousDriver::Fail(const absl::Status& status) {
  if (!failure_.ok()) return;
  failure_ = status;
  Log(LogLevel::kError, status.message());
  if (!run_over_) {
    Handle(event::StopRequested{std::string(status.message()), v1::FAILED});
  }
}

void RendezvousDriver::Perform(effect::EndRun& e) {
  run_over_ = true;
  machine_timer_.Cancel();
  watch_timer_.Cancel();
  status_.set_state(e.state);
  status_.set_detail(e.reason);
  status_ = Status();
  RecordEnd();
  const auto written = std::make_shared<absl::Status>();  // with the job
  files_.Run([this, written] { *written = WriteEnd(status_); },
             [this, written] {
               if (!written->ok()) {
                 Fail(*written);
                 RecordEnd();
               }
               FinishRun();
             });
}

// The journal's last word is the status's, where it can be written at all.
void RendezvousDriver::RecordEnd() {
  v1::JournalRecord record;
  v1::RunEnded& ended = *record.mutable_run_ended();
  const auto append = [&] {
    if (!failure_.ok()) {
      status_.set_state(v1::FAILED);
      status_.set_detail(std::string(failure_.message()));
    }
    ended.set_state(v1::RunState_Name(status_.state()));
    ended.set_reason(status_.detail());
    return store_->Append(record);
  };
  if (const absl::Status status = append(); !status.ok() && failure_.ok()) {
    Fail(status);
    (void)append();  // the run failed anyway
  }
}

absl::Status RendezvousDriver::WriteEnd(const v1::RunStatus& status) {
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

void RendezvousDriver::FinishRun() {
  finished_ = true;
  board_.TellAll(status_);
  if (options_.on_end) options_.on_end(status_);
}

}  // namespace parley
