#include "client/session/coordinator_session.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "client/session/counted_chunks.h"
#include "client/session/session_machine.h"
#include "client/session/session_setup.h"
#include "client/session/task_job.h"
#include "client/state/identity.h"
#include "common/base/lifetime.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "common/base/wake_timer.h"

namespace parley {
// All but Start, Stop, Leave and the destructor runs on the sequence, or on
// `work` where it says so.
class CoordinatorSession::Impl {
 public:
  Impl(CoordinatorSessionOptions options, CoordinatorSessionSeams seams,
       TrainerFactory factory)
      : options_(std::move(options)),
        seams_(seams),
        factory_(std::move(factory)),
        machine_(MachineOptions(options_, seams.peer != nullptr),
                 Rng(options_.incarnation, options_.name, 0, "jitter")),
        timer_(seams.clock, &sequence_, [this] { Wake(); }),
        sequence_(seams.control) {}

  ~Impl() {
    lifetime_.AwaitEnd([this] { Stop("the client ends"); });
  }

  void Start(Done done) {
    lifetime_.Start();
    sequence_.Post([this, done = std::move(done)]() mutable {
      done_ = std::move(done);
      Handle(session_event::Started{});
    });
  }

  void Stop(std::string reason) {
    Post(session_event::StopRequested{std::move(reason)});
  }

  void Leave(std::string reason) {
    Post(session_event::LeaveRequested{std::move(reason)});
  }

 private:
  // Hears of one connection; says so on the sequence.
  class Listener final : public SessionListener {
   public:
    Listener(Impl* impl, uint64_t connection)
        : impl_(impl), connection_(connection) {}
    void OnMessage(v1::ServerMessage message) override {
      impl_->Post(session_event::Received{connection_, std::move(message)});
    }
    void OnClosed(const absl::Status& status) override {
      impl_->Post(session_event::Closed{connection_, status});
    }

   private:
    Impl* const impl_;
    const uint64_t connection_;
  };

  struct Connection {
    Listener listener;
    std::unique_ptr<ClientSession> session;
  };
  // The members go in the reverse order: first whoever uses the others.
  struct ActiveTransfer {
    std::shared_ptr<TaskJob> job;
    ChunkCount chunks;                      // an atomic begins with 0
    std::unique_ptr<CountedSink> sink;      // of a download
    std::unique_ptr<CountedSource> source;  // of an upload
    std::unique_ptr<Transfer> transfer;
  };

  enum class Peer { kNone, kBegins, kRuns };
  struct WorkItem {
    bool training;
    bool peer;  // starts it
    absl::AnyInvocable<Closure() &&> run;
  };

  void Post(SessionEvent event) {
    sequence_.Post([this, event = std::move(event)]() mutable {
      Handle(std::move(event));
    });
  }

  void Handle(SessionEvent event) {
    for (SessionEffect& effect :
         machine_.Step(std::move(event), seams_.clock->Now())) {
      std::visit([this](auto& e) { Perform(e); }, effect);
    }
    SetTimer();
    FinishIfQuiet();
  }

  // ------------------------------------------------------- effects: the link

  void Perform(session_effect::Dial& e) {
    connection_.reset();
    connection_.reset(new Connection{Listener(this, e.connection), nullptr});
    connection_->session =
        seams_.transport->OpenSession(e.address, &connection_->listener);
  }
  void Perform(session_effect::HangUp&) { connection_.reset(); }
  void Perform(session_effect::Send& e) {
    if (!connection_) return;
    ClientSession& session = *connection_->session;
    const SharedChunks chunks = e.message.has_update_ready() && job_
                                    ? job_->ChunksFor(e.message.update_ready())
                                    : nullptr;
    chunks == nullptr ? session.Send(std::move(e.message))
                      : session.SendWithChunks(std::move(e.message), chunks);
  }
  void Perform(session_effect::Say& e) { Say(e.level, e.text); }
  void Say(LogLevel level, absl::string_view text) {
    if (options_.log) {
      options_.log(level, text);
    } else {
      Log(level, text);
    }
  }
  void Perform(session_effect::Exit& e) {
    exit_ = std::move(e.status);
    for (const WorkItem& item : backlog_) {
      if (item.peer) peer_ = Peer::kNone;
    }
    backlog_.clear();
    if (peer_ == Peer::kRuns) seams_.peer->Stop("the client ends");
  }

  // ---------------------------------------------------------- effects: work

  void Perform(session_effect::MakeTrainer& e) {
    bench_.reset();
    if (options_.on_joined) {
      options_.on_joined(e.registered.config().name(),
                         e.registered.more_runs());
    }
    const uint64_t trainer = e.trainer;
    absl::StatusOr<ParameterSpec> spec =
        ReadSpec(e.registered, options_.max_model_bytes);
    if (!spec.ok()) {
      return Post(session_event::TrainerMade{trainer, spec.status()});
    }
    spec_ = *std::move(spec);
    RunWork(/*training=*/false,
            [this, trainer, spec = spec_,
             registered = std::move(e.registered)]() -> Closure {
              auto bench = MakeBench(registered, spec, options_, factory_);
              return [this, trainer, bench = std::move(bench)]() mutable {
                const absl::Status status = bench.status();
                if (bench.ok()) {
                  bench_ = *std::move(bench);
                  if (const auto note = LocalTensorsNote(*bench_)) {
                    Say(note->first, note->second);
                  }
                }
                Handle(session_event::TrainerMade{trainer, status});
              };
            });
  }

  void Perform(session_effect::OpenJob& e) {
    job_ = std::make_shared<TaskJob>(e.job, std::move(e.task));
  }
  void Perform(session_effect::DropJob&) {
    if (job_) job_->Cancel();
    job_.reset();
  }

  void Perform(session_effect::Work&) {
    RunWork(/*training=*/true,
            [this, job = job_, bench = bench_,
             begin = seams_.clock->Now()]() -> Closure {
              absl::StatusOr<v1::UpdateReady> result = job->Work(*bench);
              return [this, job, begin, result = std::move(result)]() mutable {
                if (result.ok()) {
                  result->set_seconds(
                      absl::ToDoubleSeconds(seams_.clock->Now() - begin));
                }
                const uint64_t number = job->number();
                job.reset();
                Handle(session_event::Worked{number, std::move(result)});
              };
            });
  }

  // -------------------------------------------------------- effects: the peer

  void Perform(session_effect::ListenForPeers& e) {
    if (seams_.peer == nullptr) {
      return Post(session_event::PeerListens{absl::FailedPreconditionError(
          "the run is gossip between peers, which this client cannot do")});
    }
    RunWork(/*training=*/false, [this, server = e.server]() -> Closure {
      auto address = seams_.peer->Listen(server);
      return [this, address = std::move(address)]() mutable {
        Handle(session_event::PeerListens{std::move(address)});
      };
    });
  }

  void Perform(session_effect::StartPeer& e) {
    next_peer_ = std::move(e);  // an earlier one is to end first
    peer_update_.reset();
    if (peer_ == Peer::kNone) StartNextPeer();
  }

  void StartNextPeer() {
    const uint64_t number = ++peer_number_;
    PeerHost::Setup setup;
    setup.registered = std::move(next_peer_->registered);
    setup.membership = std::move(next_peer_->membership);
    next_peer_.reset();
    setup.name = options_.name;
    setup.incarnation = options_.incarnation;
    setup.trainer = bench_->trainer.get();
    setup.on_report = [this, number](v1::PeerReport report) {
      sequence_.Post([this, number, report = std::move(report)]() mutable {
        if (number != peer_number_) return;
        Handle(session_event::PeerReported{std::move(report)});
      });
    };
    // The trainer stays for as long as the peer does.
    setup.on_done = [this, number,
                     bench = bench_](absl::StatusOr<v1::PeerDone> done) {
      sequence_.Post([this, number, done = std::move(done)]() mutable {
        OnPeerDone(number, std::move(done));
      });
    };
    peer_ = Peer::kBegins;
    begins_ = number;
    backlog_.push_back({.training = false,
                        .peer = true,
                        .run = [this, number, bench = bench_,
                                setup = std::move(setup)]() mutable -> Closure {
                          const absl::Status status =
                              seams_.peer->Begin(std::move(setup));
                          return [this, number, bench = std::move(bench),
                                  status] { OnBegun(number, status); };
                        }});
    StartWork();
  }

  void OnBegun(uint64_t number, const absl::Status& status) {
    if (!status.ok()) return OnPeerDone(number, status);
    if (peer_ != Peer::kBegins || begins_ != number) return;  // is over already
    peer_ = Peer::kRuns;
    if (number != peer_number_ || exit_) return seams_.peer->Stop("it ends");
    if (peer_update_) seams_.peer->Update(*peer_update_);
    if (peer_leaves_) seams_.peer->Leave(*peer_leaves_);
  }

  void OnPeerDone(uint64_t number, absl::StatusOr<v1::PeerDone> done) {
    peer_ = Peer::kNone;
    if (number == peer_number_) {
      return Handle(session_event::PeerEnded{std::move(done)});
    }
    if (next_peer_ && !exit_) StartNextPeer();
    FinishIfQuiet();
  }

  void Perform(session_effect::EndPeer&) {
    next_peer_.reset();
    ++peer_number_;
    if (peer_ == Peer::kRuns) seams_.peer->Stop("its epoch is over");
  }

  void Perform(session_effect::UpdatePeer& e) {
    if (!next_peer_ && peer_ == Peer::kRuns) {
      return seams_.peer->Update(e.membership);
    }
    (next_peer_ ? next_peer_->membership : peer_update_.emplace()) =
        e.membership;
  }

  void Perform(session_effect::LeavePeer& e) {
    if (next_peer_ || peer_ == Peer::kNone) {  // it has not begun
      next_peer_.reset();
      return Post(session_event::PeerEnded{absl::CancelledError(e.reason)});
    }
    if (peer_ == Peer::kRuns) return seams_.peer->Leave(e.reason);
    peer_leaves_ = std::move(e.reason);
  }

  // Runs `work` on the executor for it, when earlier work is done, and then the
  // closure that it returns on the sequence.
  void RunWork(bool training, absl::AnyInvocable<Closure() &&> work) {
    backlog_.push_back({training, /*peer=*/false, std::move(work)});
    StartWork();
  }

  void StartWork() {
    if (working_ || backlog_.empty()) return;
    working_ = true;
    training_ = backlog_.front().training;
    seams_.work->Post([this, work = std::move(backlog_.front().run)]() mutable {
      Closure then = std::move(work)();
      work = nullptr;  // what it holds goes here, not while deciding
      // By way of the control executor, not straight onto the sequence: what
      // work posts may happen later by the simulator's time, and the sequence
      // must not wait for that.
      seams_.control->Post([this, then = std::move(then)]() mutable {
        sequence_.Post([this, then = std::move(then)]() mutable {
          working_ = training_ = false;
          StartWork();
          StartDeferredDownload();
          std::move(then)();
        });
      });
    });
    backlog_.pop_front();
  }

  // ----------------------------------------------------- effects: transfers

  void Perform(session_effect::StartDownload& e) {
    // A dropped task's numbers stay until its work notices: no third model
    // beside them.
    deferred_download_ = std::move(e);
    StartDeferredDownload();
  }

  void StartDeferredDownload() {
    if (!deferred_download_ || training_) return;
    const session_effect::StartDownload e =
        *std::exchange(deferred_download_, std::nullopt);
    const absl::Status taken = job_->TakeChunks(spec_);
    if (!absl::IsNotFound(taken)) {
      return Post(session_event::TransferEnded{e.transfer, taken});
    }
    absl::StatusOr<ParameterSink*> sink = job_->Sink(spec_);
    if (!sink.ok()) {
      return Post(session_event::TransferEnded{e.transfer, sink.status()});
    }
    v1::DownloadRequest request;
    *request.mutable_task() = job_->task().task();
    request.set_token(e.token);
    request.set_offset((*sink)->received());
    transfer_.emplace();
    transfer_->job = job_;
    transfer_->sink = std::make_unique<CountedSink>(*sink, &transfer_->chunks);
    transfer_->transfer = seams_.transport->Download(
        request, transfer_->sink.get(), WhenEnded(e.transfer));
  }

  void Perform(session_effect::StartUpload& e) {
    absl::StatusOr<std::unique_ptr<ChunkSource>> source =
        job_->Source(e.offset);
    if (!source.ok()) {
      return Post(session_event::TransferEnded{e.transfer, source.status()});
    }
    v1::TransferHeader header;
    *header.mutable_task() = job_->task().task();
    header.set_token(e.token);
    transfer_.emplace();
    transfer_->job = job_;
    transfer_->source =
        std::make_unique<CountedSource>(*std::move(source), &transfer_->chunks);
    transfer_->transfer = seams_.transport->Upload(
        header, transfer_->source.get(), WhenEnded(e.transfer));
  }

  void Perform(session_effect::StopTransfer&) {
    deferred_download_.reset();
    transfer_.reset();
    transfer_id_ = 0;
  }

  void Perform(session_effect::LookAtTransfer&) {
    if (!transfer_) return;
    Post(session_event::TransferMoved{transfer_id_, transfer_->chunks});
  }

  CoordinatorTransport::Done WhenEnded(uint64_t transfer) {
    transfer_id_ = transfer;
    return [this, transfer](absl::Status status) {
      sequence_.Post([this, transfer, status = std::move(status)] {
        if (transfer == transfer_id_) transfer_.reset();
        Handle(session_event::TransferEnded{transfer, status});
      });
    };
  }

  // ------------------------------------------------------------ time and end

  void SetTimer() {
    if (exit_) return timer_.Cancel();
    timer_.SetBy(machine_.wake_at());
  }
  void Wake() {
    Handle(session_event::TimerFired{job_ ? job_->Fraction() : std::nullopt});
  }

  void FinishIfQuiet() {
    if (!exit_ || working_ || peer_ != Peer::kNone || !done_) return;
    bench_.reset();
    Done done = std::exchange(done_, nullptr);
    lifetime_.End();
    std::move(done)(*exit_);
  }

  // Constant after construction.
  const CoordinatorSessionOptions options_;
  const CoordinatorSessionSeams seams_;
  const TrainerFactory factory_;

  // Of the sequence.
  SessionMachine machine_;
  Done done_;
  std::optional<absl::Status> exit_;
  std::unique_ptr<Connection> connection_;
  ParameterSpec spec_;
  std::shared_ptr<Workbench> bench_;  // shared with the work under way
  std::shared_ptr<TaskJob> job_;      // the same
  std::optional<session_effect::StartDownload> deferred_download_;
  std::optional<ActiveTransfer> transfer_;
  uint64_t transfer_id_ = 0;
  Peer peer_ = Peer::kNone;
  uint64_t peer_number_ = 0;                   // others are to end
  uint64_t begins_ = 0;                        // the last that has begun
  std::optional<v1::Membership> peer_update_;  // while it begins
  std::optional<std::string> peer_leaves_;     // the same
  std::optional<session_effect::StartPeer> next_peer_;  // when peer_ has ended
  std::deque<WorkItem> backlog_;
  bool working_ = false;
  bool training_ = false;  // that is what it works on
  WakeTimer timer_;

  Lifetime lifetime_;

  Sequence sequence_;  // last: goes first
};

absl::StatusOr<std::unique_ptr<CoordinatorSession>> CoordinatorSession::Create(
    CoordinatorSessionOptions options, CoordinatorSessionSeams seams,
    TrainerFactory trainer_factory) {
  if (options.servers.empty()) {
    return absl::InvalidArgumentError("no coordinator's address is given");
  }
  PARLEY_RETURN_IF_ERROR(CheckClientName(options.name));
  if (options.incarnation == 0) {
    return absl::InvalidArgumentError("incarnation 0 means none");
  }
  return std::unique_ptr<CoordinatorSession>(
      new CoordinatorSession(std::make_unique<Impl>(
          std::move(options), seams, std::move(trainer_factory))));
}

CoordinatorSession::CoordinatorSession(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
CoordinatorSession::~CoordinatorSession() = default;

void CoordinatorSession::Start(Done done) { impl_->Start(std::move(done)); }
void CoordinatorSession::Leave(std::string reason) {
  impl_->Leave(std::move(reason));
}
void CoordinatorSession::Stop(std::string reason) {
  impl_->Stop(std::move(reason));
}

}  // namespace parley
