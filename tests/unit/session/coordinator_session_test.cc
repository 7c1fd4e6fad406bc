#include "client/session/coordinator_session.h"

#include <cmath>

#include "client/state/local_tensors.h"
#include "tests/unit/session/coordinator_session_fixture.h"
#include "tests/unit/store/folder.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

TEST_F(CoordinatorSessionTest, ShortPayloadsTravelWithinMessages) {
  Join();
  EXPECT_THAT(transport_.sent[0].register_().features(),
              ::testing::Contains(kInlineFeature));
  Task(1, v1::TRAIN, v1::ENCODING_FLOAT32, {5, 6});
  EXPECT_FALSE(transport_.bulk.has_value());
  Work();
  ASSERT_TRUE(last_sent().has_update_ready());
  ASSERT_EQ(last_sent().update_ready().chunks_size(), 1);
  const v1::Chunk chunk = last_sent().update_ready().chunks(0);
  const std::vector<float> change = {1, 1};
  EXPECT_EQ(chunk.data(), std::string(reinterpret_cast<const char*>(&change[0]),
                                      4 * change.size()));
  EXPECT_EQ(chunk.checksum(), Checksum(chunk.data()));
  // What is asked for again, perhaps after a break, leaves it to an upload.
  Task(1);
  ASSERT_TRUE(last_sent().has_update_ready());
  EXPECT_EQ(last_sent().update_ready().chunks_size(), 0);
  Grant(1, 0);
  EXPECT_THAT(Take(), ElementsAre(1, 1));
}

TEST_F(CoordinatorSessionTest, ChunksThatCameBrokenAreDownloaded) {
  Join();
  Task(1, v1::TRAIN, v1::ENCODING_FLOAT32, {5, 6}, /*break_them=*/true);
  EXPECT_FALSE(transport_.bulk.has_value());
  EXPECT_THAT(log_, HasSubstr("checksum"));
  Advance(absl::Seconds(1));
  ASSERT_TRUE(transport_.bulk.has_value());
  EXPECT_EQ(transport_.bulk->download.offset(), 0);
  Serve({5, 6});
  Work();
  EXPECT_TRUE(last_sent().has_update_ready());
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

}  // namespace
}  // namespace parley
