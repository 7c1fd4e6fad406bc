// A session on fakes: the coordinator's side is played by the test.
#ifndef PARLEY_TESTS_UNIT_SESSION_COORDINATOR_SESSION_FIXTURE_H_
#define PARLEY_TESTS_UNIT_SESSION_COORDINATOR_SESSION_FIXTURE_H_

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/session/coordinator_session.h"
#include "common/wire/checksum.h"
#include "common/wire/encoding.h"
#include "common/wire/payload_source.h"
#include "common/wire/protocol.h"
#include "common/wire/spec.h"
#include "tests/support/status_matchers.h"
#include "tests/support/virtual_clock.h"
#include "tests/unit/session/fake_transport.h"

namespace parley {

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

  void Start();

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
            v1::Encoding up = v1::ENCODING_FLOAT32,
            std::vector<float> within = {}, bool break_them = false) {
    v1::ServerMessage message;
    v1::Task& task = *message.mutable_task();
    *task.mutable_task() = Id(round);
    task.set_kind(kind);
    task.set_update_encoding(up);
    (*task.mutable_values())["step_size"] = 0.25;
    *task.add_payloads() =
        PayloadFor(kModelPayload, spec_, v1::ENCODING_FLOAT32);
    if (!within.empty()) {
      task.set_update_inline(true);
      v1::Chunk& chunk = *task.add_chunks();
      chunk.set_data(within.data(), 4 * within.size());
      chunk.set_checksum(Checksum(chunk.data()) + break_them);
    }
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
             absl::Status status = absl::OkStatus());
  // Takes what the client uploads.
  std::vector<float> Take(v1::Encoding encoding = v1::ENCODING_FLOAT32);

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
  PeerHost* peer_host_ = nullptr;
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

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_SESSION_COORDINATOR_SESSION_FIXTURE_H_
