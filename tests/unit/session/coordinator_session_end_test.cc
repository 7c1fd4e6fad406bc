// What ends a session, or costs it a task.
#include <cmath>

#include "client/session/coordinator_session.h"
#include "common/wire/checksum.h"
#include "tests/unit/session/coordinator_session_fixture.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
