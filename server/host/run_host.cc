#include "server/host/run_host.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "server/rendezvous/rendezvous_driver.h"
#include "server/round/round_driver.h"
#include "server/round/update_check.h"

namespace parley {
namespace {

v1::Goodbye OverGoodbye(const std::string& name, const v1::RunStatus& status) {
  v1::Goodbye goodbye;
  goodbye.set_reason(absl::StrCat("run ", name, " is over: ", status.detail()));
  goodbye.set_run_over(status.state() == v1::FINISHED);
  goodbye.set_more_runs(true);
  return goodbye;
}

bool Excepts(const v1::Register& hello, const std::string& run) {
  const auto& runs = hello.except_runs();
  return std::find(runs.begin(), runs.end(), run) != runs.end();
}

}  // namespace

absl::StatusOr<std::unique_ptr<RunHost>> RunHost::Create(
    RunHostOptions options) {
  std::unique_ptr<QueueFolder> queue;
  std::vector<v1::RunConfig> unfinished;
  if (!options.folder.empty()) {
    PARLEY_ASSIGN_OR_RETURN(queue, QueueFolder::Open(options.folder));
    PARLEY_ASSIGN_OR_RETURN(unfinished, queue->Unfinished());
  }
  std::unique_ptr<RunHost> host(
      new RunHost(std::move(options), std::move(queue)));
  if (!host->has_queue()) return host;
  {
    MutexLock lock(host->mu_);
    for (v1::RunConfig& config : unfinished) {
      const std::string folder = host->queue_->FolderOf(config.name());
      host->runs_.push_back(
          host->MakeRun(std::move(config), folder, /*resume=*/true));
    }
  }
  PARLEY_RETURN_IF_ERROR(host->SaveQueue(""));
  return host;
}

RunHost::RunHost(RunHostOptions options, std::unique_ptr<QueueFolder> queue)
    : options_(std::move(options)),
      queue_(std::move(queue)),
      lobby_(static_cast<size_t>(options_.max_clients) *
             (options_.at_once + 1)),
      sequence_(std::make_unique<Sequence>(options_.control)),
      timer_(options_.clock, sequence_.get()),
      setup_(std::make_unique<Sequence>(options_.setup)) {}

RunHost::~RunHost() {
  {
    MutexLock lock(mu_);
    closed_ = gone_ = true;
  }
  setup_.reset();
  timer_.Close();
  std::vector<std::unique_ptr<RunDriver>> drivers;
  std::vector<std::unique_ptr<AddressFile>> addresses;
  std::vector<DriverRef> refs;
  {
    MutexLock lock(mu_);
    for (const RunPtr& run : runs_) {
      drivers.push_back(std::move(run->driver));
      addresses.push_back(std::move(run->address));
      refs.push_back(std::move(run->ref));
    }
  }
  addresses.clear();  // before another coordinator can have the folders
  drivers.clear();    // they may call until here
  sequence_.reset();
}

absl::StatusOr<std::unique_ptr<RunDriver>> RunHost::DriverFor(
    const RunPtr& run) {
  v1::RunConfig config = std::exchange(run->config, {});
  // The run outlives its driver.
  const auto on_over = [this, run = run.get()] { OnOver(run); };
  const auto on_end = [this, run = run.get()](const v1::RunStatus& status) {
    OnSetup([this, run = run->shared_from_this(), status] {
      End(run, status);
      if (has_queue()) BeginNext();
    });
  };
  const auto say = [name = run->name](LogLevel level, const std::string& text) {
    Log(level, absl::StrCat(name, ": ", text));
  };
  if (config.has_gossip()) {
    RendezvousDriverOptions options;
    options.config = std::move(config);
    options.folder = run->folder;
    options.resume = run->resume;
    options.clock = options_.clock;
    options.control = options_.control;
    options.work = options_.work;
    options.on_over = on_over;
    options.on_end = on_end;
    if (has_queue()) options.say = say;
    return RendezvousDriver::Create(std::move(options));
  }
  RoundDriverOptions options;
  options.config = std::move(config);
  options.folder = run->folder;
  options.resume = run->resume;
  options.strategies = options_.strategies;
  options.clock = options_.clock;
  options.control = options_.control;
  options.work = options.parallel = options_.work;
  options.on_over = on_over;
  options.on_end = on_end;
  if (has_queue()) options.say = say;
  return RoundDriver::Create(std::move(options));
}

// ------------------------------------------------------------------ sessions

SessionId RunHost::OpenSession(PeerIdentity peer,
                               std::shared_ptr<SessionSink> sink) {
  Answers out;
  SessionId id;
  {
    MutexLock lock(mu_);
    id = ++last_session_;
    if (closed_) {
      v1::Goodbye goodbye;
      goodbye.set_reason("the coordinator ends");
      goodbye.set_retry(true);
      out.SendAway(std::move(sink), goodbye,
                   absl::UnavailableError(goodbye.reason()));
    } else if (has_queue()) {
      lobby_.Open(id, std::move(peer), std::move(sink), options_.clock->Now(),
                  &out);
    } else {
      Enter(id, {std::move(peer), std::move(sink), {}}, runs_.front());
    }
  }
  std::move(out).Deliver();
  SetTimer();
  return id;
}

void RunHost::Receive(SessionId session, v1::ClientMessage message) {
  Answers out;
  {
    MutexLock lock(mu_);
    const auto routed = sessions_.find(session);
    if (routed != sessions_.end()) {
      routed->second.run->driver->Receive(routed->second.id,
                                          std::move(message));
      return;
    }
    const Guest* const guest =
        lobby_.Hear(session, std::move(message), options_.clock->Now(), &out);
    if (guest != nullptr && !Place(session, &out)) {
      lobby_.Tell(session, WaitsFor(*guest), &out);
    }
  }
  std::move(out).Deliver();
  SetTimer();
}

void RunHost::CloseSession(SessionId session, const absl::Status& why) {
  MutexLock lock(mu_);
  lobby_.Close(session);
  const auto routed = sessions_.find(session);
  if (routed == sessions_.end()) return;
  routed->second.run->driver->CloseSession(routed->second.id, why);
  sessions_.erase(routed);
}

bool RunHost::Place(SessionId id, Answers* out) {
  const v1::ClientMessage& hello = lobby_.Find(id)->hello;
  if (hello.run().empty()) {
    for (const RunPtr& run : runs_) {
      if (run->stage != Stage::kActive ||
          Excepts(hello.register_(), run->name)) {
        continue;
      }
      Enter(id, lobby_.Take(id), run);
      return true;
    }
    return false;
  }
  const RunPtr run = Find(hello.run());
  if (run == nullptr) {
    v1::Goodbye goodbye;
    goodbye.set_reason(
        absl::StrCat("there is no run '", Printable(hello.run()), "' here"));
    goodbye.set_more_runs(true);
    lobby_.SendAway(id, std::move(goodbye),
                    absl::NotFoundError("there is no such run"), out);
    return true;
  }
  if (run->stage == Stage::kOver) {
    lobby_.SendAway(id, OverGoodbye(run->name, run->status), absl::OkStatus(),
                    out);
    return true;
  }
  if (run->stage != Stage::kActive) return false;
  Enter(id, lobby_.Take(id), run);
  return true;
}

void RunHost::Enter(SessionId id, Guest guest, const RunPtr& run) {
  Routed& routed = sessions_[id];
  routed.run = run;
  routed.sink = guest.sink;
  const v1::ClientMessage hello = guest.hello;
  PeerIdentity peer = guest.peer;
  routed.id = run->driver->OpenSession(
      std::move(peer),
      std::make_shared<HostedSink>(
          run, run->ref, has_queue(), std::move(guest),
          [this, id](const Guest* back) { OnRunClosed(id, back); }));
  if (hello.has_register_()) run->driver->Receive(routed.id, hello);
}

void RunHost::OnRunClosed(SessionId id, const Guest* back) {
  Answers out;
  {
    MutexLock lock(mu_);
    if (sessions_.erase(id) == 0 || back == nullptr) return;
    lobby_.Return(id, *back, options_.clock->Now(), &out);
    if (lobby_.Find(id) != nullptr && !Place(id, &out)) {
      lobby_.Tell(id, WaitsFor(*back), &out);
    }
  }
  std::move(out).Deliver();
  SetTimer();
}

RunHost::RunPtr RunHost::Find(const std::string& name) {
  for (const RunPtr& run : runs_) {
    if (run->name == name) return run;
  }
  return nullptr;
}

std::string RunHost::WaitsFor(const Guest& guest) {
  const std::string& name = guest.hello.run();
  if (!name.empty()) return absl::StrCat("waits for run ", name, " to go on");
  int active = 0, queued = 0;
  for (const RunPtr& run : runs_) {
    active += run->stage == Stage::kActive;
    queued += run->stage == Stage::kQueued;
  }
  return absl::StrCat("waits for a run: ", active, " go on, ", queued,
                      " are queued");
}

void RunHost::PlaceAll(Answers* out) {
  for (const SessionId id : lobby_.guests()) Place(id, out);
}

void RunHost::SetTimer() {
  if (!has_queue()) return;
  sequence_->Post([this] {
    absl::Time next;
    {
      MutexLock lock(mu_);
      if (gone_) return;
      next = lobby_.NextTimer();
    }
    timer_.Set(next, [this] { OnTimer(); });
  });
}

void RunHost::OnTimer() {
  Answers out;
  {
    MutexLock lock(mu_);
    const absl::Time now = options_.clock->Now();
    lobby_.Tick(now, &out);
    if (lobby_.TakeNotice(now)) {
      for (const SessionId id : lobby_.guests()) {
        lobby_.Tell(id, WaitsFor(*lobby_.Find(id)), &out);
      }
    }
  }
  std::move(out).Deliver();
  SetTimer();
}

// ----------------------------------------------------------------- transfers

std::pair<RunDriver*, DriverRef> RunHost::DriverOf(const v1::TaskId& task) {
  MutexLock lock(mu_);
  const RunPtr run = has_queue() ? Find(task.run()) : runs_.front();
  if (run == nullptr || run->ref == nullptr) return {};
  return {run->driver.get(), run->ref};
}

void RunHost::OpenDownload(const v1::DownloadRequest& request,
                           DownloadReady ready, BreakOff break_off) {
  auto [driver, ref] = DriverOf(request.task());
  if (driver == nullptr) {
    return std::move(ready)(absl::NotFoundError("there is no such run"));
  }
  driver->OpenDownload(
      request,
      [ready = std::move(ready), ref = std::move(ref)](
          absl::StatusOr<std::unique_ptr<ChunkSource>> source) mutable {
        if (source.ok()) source = Hold(*std::move(source), ref);
        std::move(ready)(std::move(source));
      },
      std::move(break_off));
}

void RunHost::OpenUpload(const v1::TransferHeader& header, UploadReady ready,
                         BreakOff break_off) {
  auto [driver, ref] = DriverOf(header.task());
  if (driver == nullptr) {
    return std::move(ready)(absl::NotFoundError("there is no such run"));
  }
  driver->OpenUpload(
      header,
      [ready = std::move(ready), ref = std::move(ref)](
          absl::StatusOr<std::unique_ptr<ChunkSink>> sink) mutable {
        if (sink.ok()) sink = Hold(*std::move(sink), ref);
        std::move(ready)(std::move(sink));
      },
      std::move(break_off));
}

}  // namespace parley
