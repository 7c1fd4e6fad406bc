#include "client/session/client_runs.h"

#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/wire/protocol.h"
#include "common/wire/spec.h"
#include "tests/support/status_matchers.h"
#include "tests/support/virtual_clock.h"
#include "tests/unit/session/fake_transport.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class IdleTrainer final : public Trainer {
 public:
  absl::StatusOr<TrainResult> Train(const TrainTask&,
                                    ParameterVector&) override {
    return TrainResult{1, 1, {}};
  }
  absl::StatusOr<TrainResult> Evaluate(const TrainTask&,
                                       const ParameterVector&) override {
    return absl::UnimplementedError("");
  }
};

// A transport that outlives what the client does with it.
class BorrowedTransport final : public CoordinatorTransport {
 public:
  explicit BorrowedTransport(FakeTransport* fake) : fake_(fake) {}
  std::unique_ptr<ClientSession> OpenSession(
      const std::string& address, SessionListener* listener) override {
    return fake_->OpenSession(address, listener);
  }
  std::unique_ptr<Transfer> Download(const v1::DownloadRequest& request,
                                     ChunkSink* sink, Done done) override {
    return fake_->Download(request, sink, std::move(done));
  }
  std::unique_ptr<Transfer> Upload(const v1::TransferHeader& header,
                                   ChunkSource* source, Done done) override {
    return fake_->Upload(header, source, std::move(done));
  }

 private:
  FakeTransport* const fake_;
};

// The test plays the coordinator; links_[i] is of the i-th session.
class ClientRunsTest : public ::testing::Test {
 protected:
  ClientRunsTest() {
    CoordinatorSessionOptions options;
    options.servers = {"a:1"};
    options.name = "ann";
    options.incarnation = 7;
    options.log = [this](LogLevel, absl::string_view text) {
      log_.emplace_back(text);
    };
    runs_ = *ClientRuns::Create(
        options,
        {[this] {
           links_.emplace_back();
           return std::make_unique<BorrowedTransport>(&links_.back());
         },
         &clock_, &control_, &work_},
        [this](const v1::RunConfig& config, std::optional<int32_t>)
            -> absl::StatusOr<std::unique_ptr<Trainer>> {
          if (bad_.count(config.name()) > 0) {
            return absl::FailedPreconditionError("wrong data");
          }
          return std::make_unique<IdleTrainer>();
        });
    runs_->Start([this](absl::Status status) { done_ = status; });
    Settle();
  }
  ~ClientRunsTest() override {
    if (!done_) Stop();
  }

  void Settle() {
    while (control_.RunOne() || work_.RunOne()) {
    }
  }
  void Stop() {
    runs_->Stop("stopped");
    Settle();
    clock_.Advance(absl::Seconds(1));  // nobody answers the Leave
    Settle();
  }
  void Receive(size_t link, v1::ServerMessage message) {
    ASSERT_TRUE(links_[link].session.has_value());
    links_[link].session->listener->OnMessage(std::move(message));
    Settle();
  }
  void Register(size_t link, const std::string& run, bool more_runs) {
    const auto spec =
        *ParameterSpec::Create(DType::kFloat32, {{"w", {2}, MergeRule::kMean}});
    v1::ServerMessage message;
    message.set_run(run);
    message.set_term(1);
    v1::Registered& registered = *message.mutable_registered();
    registered.set_protocol_version(kProtocolVersion);
    registered.mutable_config()->set_name(run);
    registered.set_more_runs(more_runs);
    *registered.mutable_spec() = SpecToProto(spec);
    registered.set_spec_hash(spec.Hash());
    Receive(link, message);
  }
  void Goodbye(size_t link, const std::string& run, bool run_over) {
    v1::ServerMessage message;
    message.set_run(run);
    message.set_term(run.empty() ? 0 : 1);
    message.mutable_goodbye()->set_reason("because");
    message.mutable_goodbye()->set_run_over(run_over);
    message.mutable_goodbye()->set_more_runs(!run.empty());
    Receive(link, message);
  }
  std::vector<std::string> Excepted(size_t link) {
    const auto& runs = links_[link].sent[0].register_().except_runs();
    return {runs.begin(), runs.end()};
  }
  bool Left(size_t link) { return links_[link].sent.back().has_leave(); }
  bool Open(size_t link) { return links_[link].session.has_value(); }

  VirtualClock clock_;
  ManualExecutor control_, work_;
  std::deque<FakeTransport> links_;
  std::set<std::string> bad_;  // runs that it cannot train
  std::vector<std::string> log_;
  std::optional<absl::Status> done_;
  std::unique_ptr<ClientRuns> runs_;
};

TEST_F(ClientRunsTest, IsOneSessionWhereThereIsOneRun) {
  Register(0, "run", false);
  EXPECT_EQ(links_.size(), 1);
  EXPECT_FALSE(done_);
  Goodbye(0, "run", true);
  ASSERT_TRUE(done_);
  EXPECT_OK(*done_);
}

TEST_F(ClientRunsTest, TheLastRunsErrorIsTheClients) {
  bad_ = {"run"};
  Register(0, "run", false);
  EXPECT_TRUE(Left(0));
  clock_.Advance(absl::Seconds(1));
  Settle();
  ASSERT_TRUE(done_);
  EXPECT_THAT(*done_,
              StatusIs(absl::StatusCode::kFailedPrecondition, "wrong data"));
}

TEST_F(ClientRunsTest, WaitsForTheNextRunBesideThoseItIsIn) {
  EXPECT_THAT(Excepted(0), IsEmpty());
  Register(0, "run-1", true);
  ASSERT_EQ(links_.size(), 2);
  EXPECT_THAT(Excepted(1), ElementsAre("run-1"));
  Register(1, "run-2", true);
  ASSERT_EQ(links_.size(), 3);
  EXPECT_THAT(Excepted(2), ElementsAre("run-1", "run-2"));
  Goodbye(0, "run-1", true);
  EXPECT_FALSE(Open(0));
  Goodbye(1, "run-2", false);  // stopped
  EXPECT_FALSE(Open(1));
  EXPECT_TRUE(Open(2));
  EXPECT_EQ(links_.size(), 3);  // one waits already
  EXPECT_FALSE(done_);
  Register(2, "run-3", true);
  EXPECT_THAT(Excepted(3), ElementsAre("run-2", "run-3"));
  Stop();
  ASSERT_TRUE(done_);
  EXPECT_OK(*done_);
  EXPECT_TRUE(Left(2));
}

TEST_F(ClientRunsTest, ARunThatItCannotTrainIsLeftAlone) {
  bad_ = {"run-1"};
  Register(0, "run-1", true);
  EXPECT_TRUE(Left(0));
  clock_.Advance(absl::Seconds(1));
  Settle();
  EXPECT_FALSE(Open(0));
  EXPECT_FALSE(done_);
  Register(1, "run-2", true);
  EXPECT_THAT(Excepted(2), ElementsAre("run-1", "run-2"));
}

TEST_F(ClientRunsTest, EndsWhenItIsSentAwayFromTheDoor) {
  Register(0, "run-1", true);
  Goodbye(1, "", false);
  EXPECT_TRUE(Left(0));
  EXPECT_FALSE(done_);
  clock_.Advance(absl::Seconds(1));
  Settle();
  ASSERT_TRUE(done_);
  EXPECT_THAT(*done_,
              StatusIs(absl::StatusCode::kFailedPrecondition, "because"));
}

}  // namespace
}  // namespace parley
