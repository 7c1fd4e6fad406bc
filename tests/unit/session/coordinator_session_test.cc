#include "client/session/coordinator_session.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/state/local_tensors.h"
#include "common/wire/checksum.h"
#include "common/wire/encoding.h"
#include "common/wire/payload_source.h"
#include "common/wire/protocol.h"
#include "common/wire/spec.h"
#include "tests/support/status_matchers.h"
#include "tests/support/virtual_clock.h"
#include "tests/unit/session/fake_transport.h"
#include "tests/unit/store/folder.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Does what the test says.
class FakeTrainer final : public Trainer {
 public:
  using TrainFn = std::function<absl::StatusOr<TrainResult>(const TrainTask&,
                                                            ParameterVector&)>;
  FakeTrainer(TrainFn* train, absl::Status accepts)
      : train_(train), accepts_(std::move(accepts)) {}
  absl::Status Accepts(const ParameterSpec&) const override { return accepts_; }
  absl::StatusOr<TrainResult> Train(const TrainTask& task,
                                    ParameterVector& parameters) override {
    return (*train_)(task, parameters);
  }
  absl::StatusOr<TrainResult> Evaluate(const TrainTask&,
                                       const ParameterVector& p) override {
    return TrainResult{4, 0, {{"loss", p.As<float>()[0]}}};
  }

 private:
  TrainFn* const train_;
  const absl::Status accepts_;
};

class CoordinatorSessionTest : public ::testing::Test {
 protected:
  CoordinatorSessionTest() {
    SetSpec({{"weights", {2}, MergeRule::kMean}});
    // Everything grows by one.
    train_ = [](const TrainTask&, ParameterVector& p) {
      for (float& x : p.As<float>()) x += 1;
      return TrainResult{10, 3, {{"loss", 0.5}}};
    };
  }

  void SetSpec(std::vector<TensorSpec> tensors) {
    spec_ = *ParameterSpec::Create(DType::kFloat32, std::move(tensors));
  }

  void Start() {
    CoordinatorSessionOptions options;
    options.servers = {"a:1"};
    options.name = "ann";
    options.incarnation = 7;
    options.labels = {{"site", "north"}};
    options.wants_part = true;
    options.max_model_bytes = max_model_bytes_;
    options.state_folder = state_folder_;
    options.log = [this](LogLevel, absl::string_view text) {
      log_.append(text.data(), text.size());
      log_ += '\n';
    };
    auto session = CoordinatorSession::Create(
        options, {&transport_, &clock_, &control_, &work_},
        [this](const v1::RunConfig& config, std::optional<int32_t> part)
            -> absl::StatusOr<std::unique_ptr<Trainer>> {
          ++trainers_made_;
          config_ = config;
          part_ = part;
          if (!factory_status_.ok()) return factory_status_;
          return std::make_unique<FakeTrainer>(&train_, accepts_);
        });
    ASSERT_OK(session);
    session_ = *std::move(session);
    session_->Start([this](absl::Status status) { done_ = status; });
    Settle();
  }

  // Decides, but does not train.
  void Settle() {
    while (control_.RunOne()) {
    }
  }
  void Work() {
    ASSERT_TRUE(work_.RunOne());
    Settle();
  }
  // In small steps, so that each timer is heard of before the next one.
  void Advance(absl::Duration d) {
    for (; d > absl::ZeroDuration(); d -= absl::Milliseconds(100)) {
      clock_.Advance(std::min(d, absl::Milliseconds(100)));
      Settle();
    }
  }

  void Receive(v1::ServerMessage message) {
    message.set_run("run");
    message.set_term(1);
    transport_.session->listener->OnMessage(std::move(message));
    Settle();
  }
  v1::ServerMessage Registered() {
    v1::ServerMessage message;
    v1::Registered& r = *message.mutable_registered();
    r.set_protocol_version(kProtocolVersion);
    r.set_heartbeat_ms(1000);
    r.set_token("token");
    r.set_part(2);
    r.mutable_config()->set_name("run");
    *r.mutable_spec() = SpecToProto(spec_);
    r.set_spec_hash(spec_.Hash());
    r.set_run_id(42);
    return message;
  }
  v1::TaskId Id(int64_t round) {
    v1::TaskId id;
    id.set_run("run");
    id.set_term(1);
    id.set_round(round);
    id.set_client("ann");
    id.set_attempt(1);
    return id;
  }
  void Task(int64_t round, v1::TaskKind kind = v1::TRAIN,
            v1::Encoding up = v1::ENCODING_FLOAT32) {
    v1::ServerMessage message;
    v1::Task& task = *message.mutable_task();
    *task.mutable_task() = Id(round);
    task.set_kind(kind);
    task.set_update_encoding(up);
    (*task.mutable_values())["step_size"] = 0.25;
    *task.add_payloads() =
        PayloadFor(kModelPayload, spec_, v1::ENCODING_FLOAT32);
    Receive(message);
  }
  void TaskOver(int64_t round) {
    v1::ServerMessage message;
    *message.mutable_task_over()->mutable_task() = Id(round);
    Receive(message);
  }
  void Grant(int64_t round, uint64_t offset) {
    v1::ServerMessage message;
    *message.mutable_grant_upload()->mutable_task() = Id(round);
    message.mutable_grant_upload()->set_offset(offset);
    Receive(message);
  }

  // Serves `chunks` of the model, as asked for, and ends with `status`.
  void Serve(const std::vector<float>& model, int chunks = 1000,
             absl::Status status = absl::OkStatus()) {
    ASSERT_TRUE(transport_.bulk.has_value());
    ASSERT_NE(transport_.bulk->sink, nullptr);
    ASSERT_OK_AND_ASSIGN(
        auto source,
        PayloadSource::Create(
            {{.dtype = DType::kFloat32,
              .encoding = v1::ENCODING_FLOAT32,
              .elements = static_cast<int64_t>(model.size()),
              .data = reinterpret_cast<const char*>(model.data())}},
            transport_.bulk->download.offset()));
    for (; chunks > 0; --chunks) {
      std::optional<ChunkView> chunk = source->Next();
      if (!chunk) break;
      ASSERT_OK(transport_.bulk->sink->Write(chunk->header, {chunk->data}));
    }
    if (status.ok()) ASSERT_OK(transport_.bulk->sink->Finish());
    std::move(transport_.bulk->done)(status);
    Settle();
  }
  // Takes what the client uploads.
  std::vector<float> Take(v1::Encoding encoding = v1::ENCODING_FLOAT32) {
    std::vector<float> update;
    EXPECT_TRUE(transport_.bulk && transport_.bulk->source);
    while (std::optional<ChunkView> chunk = transport_.bulk->source->Next()) {
      const int64_t n = chunk->data.size() / EncodedSize(encoding);
      update.resize(update.size() + n);
      Decode(encoding, chunk->data.data(), n, DType::kFloat32,
             reinterpret_cast<char*>(update.data() + update.size() - n));
    }
    std::move(transport_.bulk->done)(absl::OkStatus());
    Settle();
    return update;
  }

  // To the point where it waits for a task.
  void Join() {
    Start();
    Receive(Registered());
    Work();
  }

  const v1::ClientMessage& last_sent() { return transport_.sent.back(); }

  ParameterSpec spec_;
  FakeTrainer::TrainFn train_;
  absl::Status accepts_, factory_status_;
  std::string state_folder_;
  int64_t max_model_bytes_ = std::numeric_limits<int64_t>::max();
  int trainers_made_ = 0;
  v1::RunConfig config_;
  std::optional<int32_t> part_;
  std::string log_;
  std::optional<absl::Status> done_;

  VirtualClock clock_;
  ManualExecutor control_, work_;
  FakeTransport transport_;
  std::unique_ptr<CoordinatorSession> session_;

  void TearDown() override { End(); }
  // As a process does, wherever it is with its task.
  void End() {
    if (session_ == nullptr || done_) return;
    session_->Stop("the test is over");
    Settle();
    Advance(absl::Seconds(1));
    while (work_.RunOne()) Settle();
    EXPECT_TRUE(done_.has_value());
  }
};

TEST_F(CoordinatorSessionTest, ChecksItsOptions) {
  CoordinatorSessionOptions options;
  options.name = "ann";
  options.incarnation = 1;
  const CoordinatorSessionSeams seams = {&transport_, &clock_, &control_,
                                         &work_};
  EXPECT_THAT(CoordinatorSession::Create(options, seams, nullptr),
              StatusIs(absl::StatusCode::kInvalidArgument, "address"));
  options.servers = {"a:1"};
  EXPECT_OK(CoordinatorSession::Create(options, seams, nullptr));
  options.name = "no spaces";
  EXPECT_THAT(CoordinatorSession::Create(options, seams, nullptr),
              StatusIs(absl::StatusCode::kInvalidArgument, "no spaces"));
}

TEST_F(CoordinatorSessionTest, TrainsAndUploadsTheChange) {
  Join();
  const v1::Register& hello = transport_.sent[0].register_();
  EXPECT_EQ(hello.name(), "ann");
  EXPECT_EQ(hello.labels().at("site"), "north");
  EXPECT_TRUE(hello.wants_part());
  EXPECT_THAT(hello.kinds(), ElementsAre(v1::TRAIN, v1::EVALUATE));
  EXPECT_EQ(config_.name(), "run");
  EXPECT_EQ(part_, 2);

  train_ = [](const TrainTask& task, ParameterVector& p) {
    EXPECT_EQ(task.round, 1);
    EXPECT_EQ(task.client, "ann");
    EXPECT_EQ(task.values.at("step_size"), 0.25);
    EXPECT_THAT(p.As<float>(), ElementsAre(5, 6));
    p.As<float>()[0] = 7;
    return TrainResult{10, 3, {{"loss", 0.5}}};
  };
  Task(1);
  EXPECT_EQ(transport_.bulk->download.token(), "token");
  EXPECT_EQ(transport_.bulk->download.task().round(), 1);
  Serve({5, 6});
  EXPECT_FALSE(transport_.bulk.has_value());
  clock_.Advance(absl::Milliseconds(1500));
  Work();
  ASSERT_TRUE(last_sent().has_update_ready());
  const v1::UpdateReady& ready = last_sent().update_ready();
  EXPECT_EQ(ready.weight(), 10);
  EXPECT_EQ(ready.local_steps(), 3);
  EXPECT_EQ(ready.scalars().at("loss"), 0.5);
  EXPECT_EQ(ready.seconds(), 1.5);
  ASSERT_EQ(ready.payloads_size(), 1);
  EXPECT_OK(CheckPayload(ready.payloads(0), spec_));

  Grant(1, 0);
  EXPECT_EQ(transport_.bulk->upload.token(), "token");
  EXPECT_THAT(Take(), ElementsAre(2, 0));
  Grant(1, 4);  // again, from the second number on
  EXPECT_THAT(Take(), ElementsAre(0));

  v1::ServerMessage goodbye;
  goodbye.mutable_goodbye()->set_run_over(true);
  Receive(goodbye);
  ASSERT_TRUE(done_.has_value());
  EXPECT_OK(*done_);
  EXPECT_FALSE(transport_.session.has_value());
  EXPECT_EQ(clock_.timers(), 0);
}

TEST_F(CoordinatorSessionTest, EachTensorTravelsByItsMergeRule) {
  SetSpec({{"a", {2}, MergeRule::kMean},
           {"own", {2}, MergeRule::kLocal},
           {"count", {1}, MergeRule::kCopy},
           {"b", {1}, MergeRule::kMean}});
  std::vector<float> seen;
  train_ = [&seen](const TrainTask&, ParameterVector& p) {
    seen.assign(p.As<float>().begin(), p.As<float>().end());
    for (float& x : p.As<float>()) x += 1;
    return TrainResult{1, 1, {}};
  };
  Join();
  Task(1);
  Serve({10, 20, 30, 40});
  Work();
  EXPECT_THAT(seen, ElementsAre(10, 20, 0, 0, 30, 40));
  EXPECT_EQ(last_sent().update_ready().payloads(0).elements(), 4);
  Grant(1, 0);
  EXPECT_THAT(Take(), ElementsAre(1, 1, 31, 1));
  Task(2);
  Serve({50, 60, 70, 80});
  Work();
  EXPECT_THAT(seen, ElementsAre(50, 60, 1, 1, 70, 80));
  Task(3, v1::EVALUATE);
  Serve({0.125, 0, 0, 0});
  Work();
  EXPECT_EQ(last_sent().update_ready().scalars().at("loss"), 0.125);
}

TEST_F(CoordinatorSessionTest, LocalTensorsOutliveItsProcess) {
  state_folder_ = TestFolder();
  SetSpec({{"a", {1}, MergeRule::kMean}, {"own", {1}, MergeRule::kLocal}});
  std::vector<float> seen;
  train_ = [&seen](const TrainTask& task, ParameterVector& p) {
    seen.push_back(p.As<float>()[1]);
    p.As<float>()[1] = 10 * seen.back() + task.round;
    return TrainResult{1, 1, {}};
  };
  const auto process = [this](std::vector<int64_t> rounds) {
    done_.reset();
    Join();
    for (const int64_t round : rounds) {
      Task(round);
      Serve({1});
      Work();
      EXPECT_TRUE(last_sent().has_update_ready());
    }
    End();
  };
  process({1});     // dies with the result
  process({1, 2});  // is asked again
  process({4});     // had died after the result was whole
  EXPECT_THAT(seen, ElementsAre(0, 0, 1, 12));
  EXPECT_THAT(log_, HasSubstr("/local-ann-000000000000002a, as round 2 left"));

  WriteAll(LocalTensorsPath(state_folder_, "ann", 42), "PRLYLOC2");
  done_.reset();
  Join();
  Settle();
  transport_.session->listener->OnClosed(absl::OkStatus());
  Settle();
  ASSERT_TRUE(done_);
  EXPECT_THAT(*done_, StatusIs(absl::StatusCode::kFailedPrecondition,
                               "remove it to start them from zeros"));
}

TEST_F(CoordinatorSessionTest, LocalTensorsOfAnotherRunAreOthers) {
  SetSpec({{"a", {1}, MergeRule::kMean}, {"own", {1}, MergeRule::kLocal}});
  std::vector<float> seen;
  train_ = [&seen](const TrainTask&, ParameterVector& p) {
    seen.push_back(p.As<float>()[1]++);
    return TrainResult{1, 1, {}};
  };
  Join();
  EXPECT_THAT(log_, HasSubstr("give --state to keep them"));
  for (const uint64_t run_id : {42, 42, 43}) {
    transport_.session->listener->OnClosed(absl::UnavailableError("broken"));
    Settle();
    Advance(absl::Seconds(1));
    v1::ServerMessage welcome = Registered();
    welcome.mutable_registered()->set_run_id(run_id);
    Receive(std::move(welcome));
    if (run_id == 43) Work();  // makes a trainer for it
    Task(seen.size() + 1);
    Serve({1});
    Work();
    TaskOver(seen.size());
  }
  EXPECT_THAT(seen, ElementsAre(0, 1, 0));
}

TEST_F(CoordinatorSessionTest, EncodesAsTheTaskSays) {
  Join();
  Task(1, v1::TRAIN, v1::ENCODING_BFLOAT16);
  Serve({1, 2});
  Work();
  EXPECT_EQ(last_sent().update_ready().payloads(0).bytes(), 4);
  Grant(1, 0);
  EXPECT_THAT(Take(v1::ENCODING_BFLOAT16), ElementsAre(1, 1));
}

TEST_F(CoordinatorSessionTest, EvaluationHasNoPayload) {
  Join();
  Task(1, v1::EVALUATE);
  Serve({0.25, 0});
  Work();
  EXPECT_EQ(last_sent().update_ready().scalars().at("loss"), 0.25);
  EXPECT_EQ(last_sent().update_ready().weight(), 4);
  EXPECT_EQ(last_sent().update_ready().payloads_size(), 0);
}

TEST_F(CoordinatorSessionTest, HeartbeatsWhileItLoadsAndTrains) {
  Start();
  Receive(Registered());
  transport_.sent.clear();
  Advance(absl::Milliseconds(2500));
  EXPECT_EQ(transport_.sent.size(), 2);
  Work();
  Task(1);
  Serve({1, 2});
  Advance(absl::Milliseconds(2000));
  EXPECT_EQ(transport_.sent.size(), 4);
  EXPECT_TRUE(last_sent().has_heartbeat());
}

TEST_F(CoordinatorSessionTest, TellsHowFarTheTrainerIsWhileItWorks) {
  train_ = [this](const TrainTask& task, ParameterVector&) {
    *task.fraction = 0.4;
    Advance(absl::Seconds(1));
    EXPECT_EQ(last_sent().progress().fraction(), 0.4);
    EXPECT_EQ(last_sent().progress().task().round(), 1);
    *task.fraction = 1 + 1e-9;  // summed up from small parts
    Advance(absl::Seconds(1));
    EXPECT_EQ(last_sent().progress().fraction(), 1);
    for (const double unknown : {std::nan(""), -1.0}) {
      *task.fraction = unknown;
      Advance(absl::Seconds(1));
      EXPECT_TRUE(last_sent().has_heartbeat()) << unknown;
    }
    *task.fraction = 0.9;
    return TrainResult{10, 3, {}};
  };
  Join();
  Task(1);
  Serve({1, 2});
  Work();
  EXPECT_TRUE(last_sent().has_update_ready());
  Advance(absl::Seconds(2));
  EXPECT_TRUE(last_sent().has_heartbeat());
}

TEST_F(CoordinatorSessionTest, DownloadGoesOnWhereItBroke) {
  constexpr int64_t kElements = 600000;  // three chunks
  SetSpec({{"weights", {kElements}, MergeRule::kMean}});
  Join();
  Task(1);
  const std::vector<float> model(kElements, 3);
  Serve(model, /*chunks=*/1, absl::UnavailableError("reset"));
  Advance(absl::Seconds(1));
  EXPECT_EQ(transport_.bulk->download.offset(), kChunkBytes);
  Serve(model, /*chunks=*/1, absl::UnavailableError("reset"));
  transport_.session->listener->OnClosed(absl::UnavailableError("broken"));
  Settle();
  EXPECT_FALSE(transport_.bulk.has_value());
  Advance(absl::Seconds(1));
  Receive(Registered());
  EXPECT_EQ(trainers_made_, 1);
  EXPECT_EQ(transport_.bulk->download.offset(), 2 * kChunkBytes);
  Serve(model);
  Work();
  EXPECT_TRUE(last_sent().has_update_ready());
}

TEST_F(CoordinatorSessionTest, TaskOverCancelsAndTheNextModelWaitsForRoom) {
  Join();
  bool saw_cancelled = false;
  train_ = [&](const TrainTask& task,
               ParameterVector&) -> absl::StatusOr<TrainResult> {
    // It comes while training.
    TaskOver(1);
    Task(2);
    EXPECT_FALSE(transport_.bulk.has_value());
    saw_cancelled = *task.cancelled;
    return absl::CancelledError("as told");
  };
  Task(1);
  Serve({1, 2});
  Work();
  EXPECT_TRUE(saw_cancelled);
  ASSERT_TRUE(transport_.bulk.has_value());
  EXPECT_EQ(transport_.bulk->download.task().round(), 2);
  EXPECT_FALSE(last_sent().has_task_failed());
}

TEST_F(CoordinatorSessionTest, FailingTrainerIsTold) {
  Join();
  const std::pair<FakeTrainer::TrainFn, const char*> cases[] = {
      {[](const TrainTask&, ParameterVector&) {
         return absl::InternalError("out of paper");
       },
       "out of paper"},
      {[](const TrainTask&, ParameterVector& p) {
         p.As<float>()[1] = std::numeric_limits<float>::infinity();
         return TrainResult{1, 1, {}};
       },
       "training diverged"},
      {[](const TrainTask&, ParameterVector&) {
         return TrainResult{0, 1, {}};
       },
       "0 examples"},
      {[](const TrainTask&, ParameterVector&) {
         return TrainResult{1, 1, {{"loss", std::nan("")}}};
       },
       "metric loss is nan"},
  };
  int64_t round = 0;
  for (const auto& [train, reason] : cases) {
    train_ = train;
    Task(++round);
    Serve({1, 2});
    Work();
    ASSERT_TRUE(last_sent().has_task_failed()) << reason;
    EXPECT_EQ(last_sent().task_failed().task().round(), round);
    EXPECT_THAT(last_sent().task_failed().reason(), HasSubstr(reason));
  }
}

TEST_F(CoordinatorSessionTest, ModelOfAnotherShapeFailsTheTask) {
  Join();
  const ParameterSpec real = spec_;
  SetSpec({{"weights", {3}, MergeRule::kMean}});
  Task(1);
  ASSERT_TRUE(last_sent().has_task_failed());
  EXPECT_THAT(last_sent().task_failed().reason(), HasSubstr("weights"));
}

TEST_F(CoordinatorSessionTest, TrainerThatCannotBeMadeEndsIt) {
  factory_status_ = absl::NotFoundError("no such file: x.libsvm");
  Join();
  EXPECT_EQ(last_sent().leave().reason(), "no such file: x.libsvm");
  Advance(absl::Seconds(1));
  ASSERT_TRUE(done_.has_value());
  EXPECT_THAT(*done_, StatusIs(absl::StatusCode::kNotFound, "no such file"));
}

TEST_F(CoordinatorSessionTest, TrainerForAnotherModelEndsIt) {
  accepts_ = absl::FailedPreconditionError("other shape");
  Join();
  Advance(absl::Seconds(1));
  ASSERT_TRUE(done_.has_value());
  EXPECT_THAT(*done_,
              StatusIs(absl::StatusCode::kFailedPrecondition, "other shape"));
}

TEST_F(CoordinatorSessionTest, WrongSpecHashEndsIt) {
  Start();
  v1::ServerMessage message = Registered();
  message.mutable_registered()->set_spec_hash(1);
  Receive(message);
  Advance(absl::Seconds(1));
  EXPECT_EQ(trainers_made_, 0);
  ASSERT_TRUE(done_.has_value());
  EXPECT_THAT(*done_, StatusIs(absl::StatusCode::kFailedPrecondition,
                               "0000000000000001 there"));
}

TEST_F(CoordinatorSessionTest, TooLargeAModelEndsItBeforeItIsAllocated) {
  // 4 TiB, which no machine of ours has.
  SetSpec({{"weights", {1 << 20, 1 << 20}, MergeRule::kMean}});
  max_model_bytes_ = 1000;
  Start();
  Receive(Registered());
  Advance(absl::Seconds(1));
  EXPECT_EQ(trainers_made_, 0);
  ASSERT_TRUE(done_.has_value());
  EXPECT_THAT(*done_, StatusIs(absl::StatusCode::kFailedPrecondition,
                               "takes 4398046511104 bytes, this client takes "
                               "at most 1000: raise --max-model-bytes"));
}

TEST_F(CoordinatorSessionTest, TheLargestModelAllowedIsTaken) {
  max_model_bytes_ = 4 * spec_.elements();
  Join();
  EXPECT_EQ(trainers_made_, 1);
  EXPECT_FALSE(done_.has_value());
}

TEST_F(CoordinatorSessionTest, ADownloadThatStallsIsGoneOnWith) {
  constexpr int64_t kElements = 600000;  // three chunks
  SetSpec({{"weights", {kElements}, MergeRule::kMean}});
  Start();
  v1::ServerMessage message = Registered();
  message.mutable_registered()->set_lease_ms(3000);
  Receive(message);
  Work();
  Task(1);
  const std::vector<float> model(kElements, 3);
  const auto chunk = [&](int64_t i) {
    const absl::string_view data(
        reinterpret_cast<const char*>(model.data()) + i * kChunkBytes,
        kChunkBytes);
    ASSERT_OK(transport_.bulk->sink->Write(
        {0, static_cast<uint64_t>(i * kChunkBytes), Checksum(data)}, {data}));
  };
  Advance(absl::Seconds(5));
  chunk(0);
  Advance(absl::Seconds(5));
  chunk(1);
  Advance(absl::Seconds(5));
  EXPECT_EQ(transport_.bulk->download.offset(), 0);
  Advance(absl::Seconds(5));
  EXPECT_THAT(log_, HasSubstr("no chunk moved for 6.0 s; tries again"));
  ASSERT_TRUE(transport_.bulk.has_value());
  EXPECT_EQ(transport_.bulk->download.offset(), 2 * kChunkBytes);
  Serve(model);
  Work();
  EXPECT_TRUE(last_sent().has_update_ready());
}

TEST_F(CoordinatorSessionTest, StopWaitsForTheTrainerOnly) {
  Join();
  bool saw_cancelled = false;
  train_ = [&](const TrainTask& task,
               ParameterVector&) -> absl::StatusOr<TrainResult> {
    session_->Stop("enough");
    Settle();
    EXPECT_EQ(last_sent().leave().reason(), "enough");
    Advance(absl::Seconds(1));
    saw_cancelled = *task.cancelled;
    EXPECT_FALSE(done_.has_value());
    return absl::CancelledError("as told");
  };
  Task(1);
  Serve({1, 2});
  Work();
  EXPECT_TRUE(saw_cancelled);
  ASSERT_TRUE(done_.has_value());
  EXPECT_OK(*done_);
}

TEST_F(CoordinatorSessionTest, SaysWhatItWaitsFor) {
  Start();
  Advance(absl::Seconds(11));
  EXPECT_THAT(log_, HasSubstr("waits for the coordinator at a:1, for 10.0 s"));
}

}  // namespace
}  // namespace parley
