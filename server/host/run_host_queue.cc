// A host's runs: how they come in, begin, end and are told of.
#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/config/facts.h"
#include "common/config/load.h"
#include "common/config/validate.h"
#include "common/report/run_status.h"
#include "server/host/run_host.h"
#include "server/store/run_store.h"

namespace parley {
namespace {

bool IsAbsolute(const std::string& path) {
  return std::filesystem::path(path).is_absolute();
}

// All that is wrong with a submitted run file and its data.
absl::StatusOr<v1::RunConfig> ReadRun(const v1::SubmitRequest& request) {
  const std::vector<std::string> sets(request.sets().begin(),
                                      request.sets().end());
  PARLEY_ASSIGN_OR_RETURN(
      v1::RunConfig config,
      LoadRunText(request.text(), request.path(), sets, request.folder()));
  config.mutable_tags()->MergeFrom(request.tags());
  PARLEY_RETURN_IF_ERROR(CheckRun(config));
  PARLEY_ASSIGN_OR_RETURN(const DataFacts facts, ProbeData(config));
  StateFacts(facts, &config);
  return config;
}

v1::RunStatus EndOf(v1::RunStatus status, v1::RunState state,
                    std::string detail) {
  status.set_state(state);
  status.set_detail(std::move(detail));
  return status;
}

}  // namespace

void RunHost::OnSetup(Closure f) {
  MutexLock lock(mu_);
  if (!gone_) setup_->Post(std::move(f));
}

RunHost::RunPtr RunHost::MakeRun(v1::RunConfig config, std::string folder,
                                 bool resume) const {
  auto run = std::make_shared<HostedRun>();
  run->name = config.name();
  run->folder = std::move(folder);
  run->resume = resume;
  run->status.set_run(run->name);
  run->status.set_state(v1::QUEUED);
  run->status.set_rounds(config.stop().rounds());
  run->status.set_folder(run->folder);
  *run->status.mutable_tags() = config.tags();
  run->config = std::move(config);
  return run;
}

absl::Status RunHost::Host(v1::RunConfig config, const std::string& folder,
                           bool resume) {
  const RunPtr run = MakeRun(std::move(config), folder, resume);
  PARLEY_RETURN_IF_ERROR(MakeDriver(run));
  MutexLock lock(mu_);
  runs_.push_back(run);
  return absl::OkStatus();
}

absl::Status RunHost::Start(const std::string& address) {
  RunPtr only;
  {
    MutexLock lock(mu_);
    address_ = address;
    if (!has_queue()) only = runs_.front();
  }
  if (only != nullptr) return Launch(only);
  OnSetup([this] { BeginNext(); });
  return absl::OkStatus();
}

void RunHost::Shutdown(const std::string& reason, Closure idle) {
  Answers out;
  {
    MutexLock lock(mu_);
    closed_ = true;
    v1::Goodbye goodbye;
    goodbye.set_reason(reason);
    goodbye.set_retry(true);
    lobby_.CloseAll(goodbye, &out);
    for (auto& [id, routed] : sessions_) {
      routed.run->driver->CloseSession(routed.id, absl::CancelledError());
      out.SendAway(std::move(routed.sink), goodbye,
                   absl::UnavailableError(reason));
    }
    sessions_.clear();
  }
  std::move(out).Deliver();
  OnSetup(std::move(idle));
}

// ------------------------------------------------------------------ beginning

void RunHost::Submit(v1::SubmitRequest request, SubmitDone done) {
  // Also where it is too late: `done` is to be called.
  setup_->Post(
      [this, request = std::move(request), done = std::move(done)]() mutable {
        std::move(done)(Enqueue(request));
        BeginNext();
      });
}

absl::StatusOr<v1::SubmitReply> RunHost::Enqueue(
    const v1::SubmitRequest& request) {
  if (!has_queue()) {
    return absl::FailedPreconditionError(
        "this coordinator has one run and no queue: start one with "
        "parley-server --queue");
  }
  {
    MutexLock lock(mu_);
    if (closed_) return absl::UnavailableError("the coordinator ends");
    if (std::count_if(runs_.begin(), runs_.end(), [](const RunPtr& run) {
          return run->stage == Stage::kQueued;
        }) >= kMaxQueued) {
      return absl::ResourceExhaustedError(
          absl::StrCat(kMaxQueued, " runs are queued, and no more can be"));
    }
  }
  if (!IsAbsolute(request.path()) || !IsAbsolute(request.folder())) {
    return absl::InvalidArgumentError(
        "path and folder of a SubmitRequest must be absolute");
  }
  v1::SubmitReply reply;
  absl::StatusOr<v1::RunConfig> config = ReadRun(request);
  absl::Status added = config.status();
  if (added.ok()) {
    added = queue_->Add(&*config, [this](const std::string& name) {
      MutexLock lock(mu_);
      return Find(name) != nullptr;
    });
  }
  if (absl::IsInvalidArgument(added) || !config.ok()) {
    reply.set_errors(std::string(added.message()));
    return reply;
  }
  PARLEY_RETURN_IF_ERROR(added);
  const RunPtr run = MakeRun(*config, queue_->FolderOf(config->name()),
                             /*resume=*/true);
  PARLEY_RETURN_IF_ERROR(SaveQueue(run->name));
  MutexLock lock(mu_);
  reply.set_run(run->name);
  reply.set_folder(run->folder);
  reply.set_position(static_cast<int32_t>(std::count_if(
      runs_.begin(), runs_.end(),
      [](const RunPtr& other) { return other->stage != Stage::kOver; })));
  runs_.push_back(run);
  Changed();
  LogInfo("run ", run->name, " is queued");
  return reply;
}

absl::Status RunHost::SaveQueue(const std::string& added) {
  std::vector<std::string> names;
  {
    MutexLock lock(mu_);
    for (const RunPtr& run : runs_) {
      if (run->stage != Stage::kOver) names.push_back(run->name);
    }
  }
  if (!added.empty()) names.push_back(added);
  return queue_->Save(names);
}

void RunHost::BeginNext() {
  while (true) {
    RunPtr next;
    {
      MutexLock lock(mu_);
      if (closed_ || address_.empty()) return;
      int going_on = 0;
      for (const RunPtr& run : runs_) {
        going_on += run->stage == Stage::kActive ||
                    (run->stage == Stage::kEnding && run->driver != nullptr);
        if (next == nullptr && run->stage == Stage::kQueued) next = run;
      }
      if (next == nullptr || going_on >= options_.at_once) return;
      next->stage = Stage::kBeginning;
    }
    absl::Status begun = MakeDriver(next);
    if (begun.ok()) begun = Launch(next);
    if (begun.ok()) continue;
    v1::RunStatus status;
    {
      MutexLock lock(mu_);
      status = EndOf(next->status, v1::FAILED, std::string(begun.message()));
    }
    LogError("run ", next->name, " cannot begin: ", begun.message());
    // The folder may be another coordinator's meanwhile.
    if (absl::IsFailedPrecondition(begun)) {
      End(next, std::move(status));
    } else {
      EndUnbegun(next, std::move(status));
    }
  }
}

absl::Status RunHost::MakeDriver(const RunPtr& run) {
  PARLEY_ASSIGN_OR_RETURN(std::unique_ptr<RunDriver> driver, DriverFor(run));
  driver->Watch([this, run = run.get()](const v1::RunStatus& status) {
    OnStatus(run, status);
  });
  MutexLock lock(mu_);
  run->address = std::make_unique<AddressFile>(run->folder, kAddressFile);
  run->driver = std::move(driver);
  run->ref = DriverRef(run.get(), [this, run](const void*) {
    OnSetup([this, run] { Retire(run); });
  });
  return absl::OkStatus();
}

absl::Status RunHost::Launch(const RunPtr& run) {
  std::string address;
  {
    MutexLock lock(mu_);
    address = address_;
  }
  PARLEY_RETURN_IF_ERROR(run->address->Write(address));
  if (has_queue()) LogInfo("run ", run->name, " begins in ", run->folder);
  Answers out;
  {
    MutexLock lock(mu_);
    run->stage = Stage::kActive;  // before it can end
    run->takes_clients = true;
    run->driver->Start();
    if (!run->stop_reason.empty()) run->driver->Stop(run->stop_reason);
    PlaceAll(&out);
  }
  std::move(out).Deliver();
  return absl::OkStatus();
}

// --------------------------------------------------------------------- ending

void RunHost::OnOver(HostedRun* run) {
  MutexLock lock(mu_);
  run->stage = Stage::kEnding;
  run->takes_clients = false;
}

void RunHost::End(const RunPtr& run, v1::RunStatus status) {
  LogInfo("run ", run->name, " is over: ", v1::RunState_Name(status.state()),
          ", ", status.detail(), "; ", status.round(), " rounds in ",
          status.seconds(), " s");
  Answers out;
  DriverRef ref;
  {
    MutexLock lock(mu_);
    run->stage = Stage::kOver;
    run->status = status;
    sequence_->Post([run, status] { run->board.TellAll(status); });
    if (has_queue()) {  // a lone run's clients still hear that it is over
      ref = std::exchange(run->ref, nullptr);
      run->status.clear_client();  // of many runs
    }
    PlaceAll(&out);
    Forget();
    Changed();
    for (const RunPtr& other : runs_) {
      if (other->stage == Stage::kQueued) Tell(other);
    }
  }
  std::move(out).Deliver();
  ref.reset();
  if (has_queue()) {
    if (absl::Status saved = SaveQueue(""); !saved.ok()) {
      LogError("the queue cannot be written: ", saved.message());
    }
  }
  if (options_.on_end) options_.on_end(status);
}

void RunHost::EndUnbegun(const RunPtr& run, v1::RunStatus status) {
  if (absl::Status written = queue_->WriteEnd(status); !written.ok()) {
    LogError(written.message());
  }
  End(run, std::move(status));
}

void RunHost::Forget() {
  int over = 0;
  for (const RunPtr& run : runs_) over += run->stage == Stage::kOver;
  for (auto it = runs_.begin(); over > kMaxOver && it != runs_.end();) {
    if ((*it)->stage == Stage::kOver && (*it)->driver == nullptr) {
      it = runs_.erase(it);
      --over;
    } else {
      ++it;
    }
  }
}

void RunHost::Retire(const RunPtr& run) {
  std::unique_ptr<RunDriver> driver;
  std::unique_ptr<AddressFile> address;
  {
    MutexLock lock(mu_);
    driver = std::move(run->driver);
    address = std::move(run->address);
  }
}

absl::StatusOr<std::string> RunHost::Stop(const std::string& name,
                                          const std::string& reason) {
  MutexLock lock(mu_);
  PARLEY_ASSIGN_OR_RETURN(const RunPtr run, Chosen(name));
  switch (run->stage) {
    case Stage::kQueued: {
      run->stage = Stage::kEnding;
      if (gone_) break;
      setup_->Post(
          [this, run, status = EndOf(run->status, v1::STOPPED, reason)] {
            EndUnbegun(run, status);
          });
      break;
    }
    case Stage::kBeginning:
      run->stop_reason = reason;
      break;
    case Stage::kActive:
      run->driver->Stop(reason);
      break;
    case Stage::kEnding:
    case Stage::kOver:
      break;
  }
  return run->name;
}

// --------------------------------------------------------------------- telling

absl::StatusOr<RunHost::RunPtr> RunHost::Chosen(const std::string& name) {
  RunPtr chosen;
  const auto rank = [](const HostedRun& run) {
    return run.stage == Stage::kOver ? 0 : run.stage == Stage::kQueued ? 1 : 2;
  };
  for (const RunPtr& run : runs_) {
    if (!name.empty()) {
      if (run->name == name) return run;
    } else if (chosen == nullptr || rank(*run) > rank(*chosen) ||
               (rank(*run) == 0 && rank(*chosen) == 0)) {
      chosen = run;
    }
  }
  if (chosen != nullptr) return chosen;
  return absl::NotFoundError(
      name.empty() ? "there is no run here yet"
                   : absl::StrCat("there is no run \"", name,
                                  "\" here; parley ls HOST:PORT lists them"));
}

v1::RunStatus RunHost::StatusOf(const HostedRun& run) {
  v1::RunStatus status = run.status;
  if (status.state() == v1::QUEUED) {
    int before = 0;
    for (const RunPtr& other : runs_) {
      if (other.get() == &run) break;
      before += other->stage != Stage::kOver;
    }
    status.set_detail(absl::StrCat("queued, ", before, " before it"));
  } else if (!HasEnded(status.state())) {
    const double since =
        absl::ToDoubleSeconds(options_.clock->Now() - run.told_at);
    status.set_seconds(status.seconds() + since);
    if (status.has_eta_seconds()) {
      status.set_eta_seconds(std::max(0.0, status.eta_seconds() - since));
    }
  }
  return status;
}

void RunHost::OnStatus(HostedRun* run, const v1::RunStatus& status) {
  if (HasEnded(status.state())) return;  // End tells it
  MutexLock lock(mu_);
  if (run->stage == Stage::kOver) return;
  run->status = status;
  run->told_at = options_.clock->Now();
  Changed();
  Tell(run->shared_from_this());
}

void RunHost::Tell(RunPtr run) {
  if (run->board.empty()) return;
  sequence_->Post([this, run = std::move(run)] {
    v1::RunStatus latest;
    {
      MutexLock lock(mu_);
      if (run->stage == Stage::kOver) return;
      latest = StatusOf(*run);
    }
    run->board.TellAll(latest);
  });
}

absl::StatusOr<uint64_t> RunHost::Watch(const std::string& name,
                                        StatusCallback on_change) {
  MutexLock lock(mu_);
  PARLEY_ASSIGN_OR_RETURN(const RunPtr run, Chosen(name));
  const uint64_t id = run->board.Add(std::move(on_change));
  watches_[++last_watch_] = {run, id};
  if (run->driver != nullptr) run->driver->HurryChange();
  sequence_->Post([this, run, id] {
    v1::RunStatus status;
    {
      MutexLock lock(mu_);
      status = StatusOf(*run);
    }
    run->board.Tell(id, status);
  });
  return last_watch_;
}

void RunHost::Unwatch(uint64_t id) {
  std::pair<RunPtr, uint64_t> watch;
  {
    MutexLock lock(mu_);
    const auto it = watches_.find(id);
    if (it == watches_.end()) return;
    watch = std::move(it->second);
    watches_.erase(it);
  }
  watch.first->board.Remove(watch.second);
}

std::vector<v1::RunStatus> RunHost::Runs() {
  MutexLock lock(mu_);
  std::vector<v1::RunStatus> runs;
  for (const RunPtr& run : runs_) runs.push_back(StatusOf(*run));
  return runs;
}

uint64_t RunHost::AwaitChange(uint64_t seen,
                              std::chrono::steady_clock::time_point deadline) {
  MutexLock lock(mu_);
  while (version_ == seen && changed_.WaitUntil(mu_, deadline)) {
  }
  return version_;
}

void RunHost::Changed() {
  ++version_;
  changed_.SignalAll();
}

}  // namespace parley
