#include "client/session/client_runs.h"

#include <deque>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/lifetime.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/wire/protocol.h"

namespace parley {

// All but Start, Stop, Leave and the destructor runs on the sequence.
class ClientRuns::Impl {
 public:
  Impl(CoordinatorSessionOptions options, ClientRunsSeams seams,
       TrainerFactory factory)
      : options_(std::move(options)),
        seams_(std::move(seams)),
        factory_(std::move(factory)),
        sequence_(seams_.control) {}

  ~Impl() {
    lifetime_.AwaitEnd([this] { Stop("the client ends"); });
    MutexLock lock(mu_);
    while (disposals_ > 0) disposed_.Wait(mu_);
  }

  // The first session, whose options are everybody's.
  absl::Status Open() {
    const uint64_t id = ++last_part_;
    CoordinatorSessionOptions options = options_;
    options.except_runs.assign(declined_.begin(), declined_.end());
    for (const auto& [other, part] : parts_) {
      options.except_runs.push_back(part.run);
    }
    // Of the session's sequence: its run, for the log.
    const auto run = std::make_shared<std::string>();
    options.on_joined = [this, id, run](const std::string& name, bool more) {
      if (more) *run = name;
      sequence_.Post([this, id, name, more] { OnJoined(id, name, more); });
    };
    options.log = [this, run](LogLevel level, absl::string_view text) {
      Say(level,
          run->empty() ? std::string(text) : absl::StrCat(*run, ": ", text));
    };
    Part part;
    part.transport = seams_.make_transport();
    if (seams_.make_peer) part.peer = seams_.make_peer();
    PARLEY_ASSIGN_OR_RETURN(
        part.session, CoordinatorSession::Create(
                          std::move(options),
                          {part.transport.get(), seams_.clock, seams_.control,
                           seams_.work, part.peer.get()},
                          factory_));
    waiting_ = id;
    parts_[id] = std::move(part);
    return absl::OkStatus();
  }

  void Start(Done done) {
    lifetime_.Start();
    sequence_.Post([this, done = std::move(done)]() mutable {
      done_ = std::move(done);
      StartWaiting();
    });
  }

  void Stop(std::string reason) {
    sequence_.Post([this, reason = std::move(reason)] { StopAll(reason); });
  }

  void Leave(std::string reason) {
    sequence_.Post([this, reason = std::move(reason)] {
      stopping_ = true;
      for (auto& [id, part] : parts_) part.session->Leave(reason);
    });
  }

 private:
  // One session. The members go in the reverse order.
  struct Part {
    std::unique_ptr<CoordinatorTransport> transport;
    std::unique_ptr<PeerHost> peer = {};  // may be null
    std::unique_ptr<CoordinatorSession> session;
    std::string run = {};    // empty before it has joined
    bool more_runs = false;  // the coordinator may have others
  };

  void StartWaiting() {
    parts_[waiting_].session->Start([this, id = waiting_](absl::Status status) {
      sequence_.Post([this, id, status] { OnDone(id, status); });
    });
  }

  // Waits for a further run, unless a session does or there may be none.
  void OpenNext() {
    if (waiting_ != 0 || stopping_ || parts_.size() >= kMaxRuns) return;
    PARLEY_CHECK(Open().ok());  // as the first one was
    StartWaiting();
  }

  void OnJoined(uint64_t id, const std::string& run, bool more_runs) {
    const auto part = parts_.find(id);
    if (part == parts_.end()) return;
    part->second.run = run;
    part->second.more_runs = more_runs;
    if (waiting_ != id || !more_runs) return;
    waiting_ = 0;
    OpenNext();
  }

  void OnDone(uint64_t id, const absl::Status& status) {
    const auto it = parts_.find(id);
    Part part = std::move(it->second);
    parts_.erase(it);
    if (part.more_runs) {
      if (!status.ok()) Decline(part.run, status);
      OpenNext();
    } else {
      if (!stopping_) end_ = status;
      StopAll("this client ends");
    }
    Dispose(std::move(part));
    if (!parts_.empty() || !done_) return;
    Done done = std::exchange(done_, nullptr);
    lifetime_.End();
    std::move(done)(end_);
  }

  void Decline(const std::string& run, const absl::Status& why) {
    Say(LogLevel::kWarning,
        absl::StrCat(run, ": has no more part in it: ", why.message()));
    declined_.push_back(run);
    if (declined_.size() > kMaxExceptRuns - kMaxRuns) declined_.pop_front();
  }

  // From any sequence.
  void Say(LogLevel level, const std::string& text) {
    if (options_.log) {
      options_.log(level, text);
    } else {
      Log(level, text);
    }
  }

  void StopAll(const std::string& reason) {
    stopping_ = true;
    for (auto& [id, part] : parts_) part.session->Stop(reason);
  }

  // Elsewhere: it waits for the session's own last closures.
  void Dispose(Part part) {
    {
      MutexLock lock(mu_);
      ++disposals_;
    }
    seams_.work->Post([this, part = std::move(part)]() mutable {
      part.session.reset();
      part.peer.reset();
      part.transport.reset();
      MutexLock lock(mu_);
      --disposals_;
      disposed_.SignalAll();
    });
  }

  // Constant after construction.
  const CoordinatorSessionOptions options_;
  const ClientRunsSeams seams_;
  const TrainerFactory factory_;

  // Of the sequence.
  Done done_;
  absl::Status end_;
  bool stopping_ = false;
  uint64_t last_part_ = 0;
  uint64_t waiting_ = 0;  // for its run; 0: none
  std::map<uint64_t, Part> parts_;
  std::deque<std::string> declined_;  // runs

  Lifetime lifetime_;
  Mutex mu_;
  CondVar disposed_;
  int disposals_ GUARDED_BY(mu_) = 0;

  Sequence sequence_;  // last: goes first
};

absl::StatusOr<std::unique_ptr<ClientRuns>> ClientRuns::Create(
    CoordinatorSessionOptions options, ClientRunsSeams seams,
    TrainerFactory trainer_factory) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(seams),
                                     std::move(trainer_factory));
  PARLEY_RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<ClientRuns>(new ClientRuns(std::move(impl)));
}

ClientRuns::ClientRuns(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ClientRuns::~ClientRuns() = default;

void ClientRuns::Start(Done done) { impl_->Start(std::move(done)); }
void ClientRuns::Stop(std::string reason) { impl_->Stop(std::move(reason)); }
void ClientRuns::Leave(std::string reason) { impl_->Leave(std::move(reason)); }

}  // namespace parley
