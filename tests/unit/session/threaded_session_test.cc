// Many sessions on real threads and a real clock, for ThreadSanitizer: the
// coordinator is a few lines, answers from other threads, and hangs up at
// times.
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/session/coordinator_session.h"
#include "common/base/mutex.h"
#include "common/base/random.h"
#include "common/wire/payload_source.h"
#include "common/wire/protocol.h"
#include "common/wire/spec.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

constexpr int64_t kRounds = 10;
constexpr int64_t kElements = 300000;  // two chunks

// One client's coordinator: asks for kRounds updates, each of which it takes
// once. It breaks the session in the middle of every third upload.
class EchoTransport final : public CoordinatorTransport {
 public:
  EchoTransport(Executor* network, std::string client)
      : client_(std::move(client)),
        spec_(*ParameterSpec::Create(DType::kFloat32,
                                     {{"w", {kElements}, MergeRule::kMean}})),
        network_(network) {}

  std::unique_ptr<ClientSession> OpenSession(
      const std::string&, SessionListener* listener) override {
    return std::make_unique<Session>(this, listener);
  }
  std::unique_ptr<Transfer> Download(const v1::DownloadRequest& request,
                                     ChunkSink* sink, Done done) override {
    return std::make_unique<Job>(
        network_, [this, offset = request.offset(), sink,
                   done = std::move(done)]() mutable {
          ParameterVector model(DType::kFloat32, kElements);
          auto source = PayloadSource::Create(
              {{.elements = kElements, .data = model.data()}}, offset);
          while (std::optional<ChunkView> chunk = (*source)->Next()) {
            EXPECT_OK(sink->Write(chunk->header, {chunk->data}));
          }
          std::move(done)(sink->Finish().status());
        });
  }
  std::unique_ptr<Transfer> Upload(const v1::TransferHeader&,
                                   ChunkSource* source, Done done) override {
    return std::make_unique<Job>(
        network_, [this, source, done = std::move(done)]() mutable {
          int64_t bytes = 0;
          while (std::optional<ChunkView> chunk = source->Next()) {
            bytes += chunk->data.size();
            if (round_ % 3 == 0 && !broken_.exchange(true)) {
              staged_ = bytes;
              Break();
              return std::move(done)(absl::UnavailableError("broken"));
            }
          }
          EXPECT_EQ(staged_ + bytes, kElements * 4);
          std::move(done)(absl::OkStatus());
          staged_ = 0;
          broken_ = granted_ = false;
          ++round_;
          Ask();
        });
  }

  int64_t rounds_done() const { return round_ - 1; }

 private:
  // Runs something on the network's threads; its destructor waits for that.
  class Job final : public Transfer {
   public:
    Job(Executor* network, Closure f) {
      network->Post([this, f = std::move(f)]() mutable {
        std::move(f)();
        f = nullptr;
        MutexLock lock(mu_);
        over_ = true;
        changed_.SignalAll();
      });
    }
    ~Job() override {
      MutexLock lock(mu_);
      while (!over_) changed_.Wait(mu_);
    }

   private:
    Mutex mu_;
    CondVar changed_;
    bool over_ GUARDED_BY(mu_) = false;
  };

  class Session final : public ClientSession {
   public:
    Session(EchoTransport* transport, SessionListener* listener)
        : transport_(transport),
          listener_(listener),
          calls_(transport->network_) {
      MutexLock lock(transport->mu_);
      transport->session_ = this;
    }
    ~Session() override {
      MutexLock lock(transport_->mu_);
      transport_->session_ = nullptr;
    }
    void Send(v1::ClientMessage message) override {
      calls_.Post([this, message] { transport_->Hear(message); });
    }
    void Deliver(v1::ServerMessage message) {
      message.set_run("run");
      message.set_term(1);
      calls_.Post([this, message] { listener_->OnMessage(message); });
    }
    void Close() {
      calls_.Post(
          [this] { listener_->OnClosed(absl::UnavailableError("broken")); });
    }

   private:
    EchoTransport* const transport_;
    SessionListener* const listener_;
    Sequence calls_;
  };

  void Deliver(v1::ServerMessage message) {
    MutexLock lock(mu_);
    if (session_ != nullptr) session_->Deliver(std::move(message));
  }
  void Break() {
    MutexLock lock(mu_);
    if (session_ != nullptr) session_->Close();
  }
  v1::TaskId Wanted() {
    v1::TaskId id;
    id.set_run("run");
    id.set_term(1);
    id.set_round(round_);
    id.set_client(client_);
    return id;
  }
  void Ask() {
    v1::ServerMessage message;
    if (round_ > kRounds) {
      message.mutable_goodbye()->set_run_over(true);
    } else {
      v1::Task& task = *message.mutable_task();
      *task.mutable_task() = Wanted();
      task.set_kind(v1::TRAIN);
      task.set_update_encoding(v1::ENCODING_FLOAT32);
      *task.add_payloads() =
          PayloadFor(kModelPayload, spec_, v1::ENCODING_FLOAT32);
    }
    Deliver(std::move(message));
  }
  void Hear(const v1::ClientMessage& message) {
    if (message.has_register_()) {
      v1::ServerMessage reply;
      v1::Registered& registered = *reply.mutable_registered();
      registered.set_protocol_version(kProtocolVersion);
      registered.set_heartbeat_ms(10);
      *registered.mutable_spec() = SpecToProto(spec_);
      registered.set_spec_hash(spec_.Hash());
      Deliver(std::move(reply));
      granted_ = false;
      Ask();
    } else if (message.has_update_ready() &&
               message.update_ready().task().round() == round_ &&
               !granted_.exchange(true)) {
      v1::ServerMessage grant;
      *grant.mutable_grant_upload()->mutable_task() = Wanted();
      grant.mutable_grant_upload()->set_offset(staged_);
      Deliver(std::move(grant));
    }
  }

  const std::string client_;
  const ParameterSpec spec_;
  Executor* const network_;
  std::atomic<int64_t> round_ = 1;
  std::atomic<int64_t> staged_ = 0;
  std::atomic<bool> broken_ = false;   // this round, once
  std::atomic<bool> granted_ = false;  // on this connection
  Mutex mu_;
  Session* session_ GUARDED_BY(mu_) = nullptr;
};

class AddOne final : public Trainer {
 public:
  absl::StatusOr<TrainResult> Train(const TrainTask&,
                                    ParameterVector& p) override {
    for (float& x : p.As<float>()) x += 1;
    return TrainResult{1, 1, {}};
  }
  absl::StatusOr<TrainResult> Evaluate(const TrainTask&,
                                       const ParameterVector&) override {
    return absl::UnimplementedError("");
  }
};

struct Client {
  Client(Executor* network, Clock* clock, Executor* control, Executor* work,
         const std::string& name)
      : transport(network, name) {
    CoordinatorSessionOptions options;
    options.servers = {"a:1"};
    options.name = name;
    options.incarnation = 1;
    options.log = [](LogLevel, absl::string_view) {};
    session = *CoordinatorSession::Create(
        std::move(options), {&transport, clock, control, work},
        [](const v1::RunConfig&, std::optional<int32_t>) {
          return std::make_unique<AddOne>();
        });
  }

  EchoTransport transport;
  std::unique_ptr<CoordinatorSession> session;
};

class ThreadedSessionTest : public ::testing::Test {
 protected:
  ThreadedSessionTest() {
    for (int i = 0; i < 4; ++i) {
      clients_.push_back(std::make_unique<Client>(
          &network_, clock_.get(), &control_, &work_, absl::StrCat("c", i)));
    }
  }

  // Sessions block in destructors until the network's calls are over, so the
  // three have threads of their own.
  ThreadPool network_{4}, control_{4}, work_{2};
  std::unique_ptr<Clock> clock_ = MakeRealClock();
  std::vector<std::unique_ptr<Client>> clients_;
};

TEST_F(ThreadedSessionTest, RunsToTheEnd) {
  Mutex mu;
  CondVar changed;
  std::vector<absl::Status> outcomes;
  for (auto& client : clients_) {
    client->session->Start([&](absl::Status status) {
      MutexLock lock(mu);
      outcomes.push_back(status);
      changed.SignalAll();
    });
  }
  {
    MutexLock lock(mu);
    while (outcomes.size() < clients_.size()) changed.Wait(mu);
    for (const absl::Status& status : outcomes) EXPECT_OK(status);
  }
  for (auto& client : clients_) {
    EXPECT_EQ(client->transport.rounds_done(), kRounds);
    client->session.reset();
  }
}

TEST_F(ThreadedSessionTest, DestructionEndsItAtAnyTime) {
  std::atomic<int> ended = 0;
  for (auto& client : clients_) {
    client->session->Start([&ended](absl::Status) { ++ended; });
  }
  for (auto& client : clients_) client->session.reset();
  EXPECT_EQ(ended, clients_.size());
}

}  // namespace
}  // namespace parley
