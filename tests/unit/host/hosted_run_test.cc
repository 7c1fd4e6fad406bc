#include "server/host/hosted_run.h"

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/unit/host/recording_sink.h"

namespace parley {
namespace {

class HostedSinkTest : public ::testing::Test {
 protected:
  HostedSink Make(bool more_runs) {
    return HostedSink(run_, nullptr, more_runs, {{}, sink_, Hello("a")},
                      [this](const Guest* back) {
                        ++closed_;
                        if (back != nullptr) back_ = back->hello;
                      });
  }
  static v1::ServerMessage Registered() {
    v1::ServerMessage message;
    message.mutable_registered();
    return message;
  }
  static v1::ServerMessage Goodbye() {
    v1::ServerMessage message;
    message.mutable_goodbye()->set_run_over(true);
    return message;
  }

  std::shared_ptr<HostedRun> run_ = std::make_shared<HostedRun>();
  std::shared_ptr<RecordingSink> sink_ = std::make_shared<RecordingSink>();
  int closed_ = 0;
  std::optional<v1::ClientMessage> back_;
};

TEST_F(HostedSinkTest, SaysThatThereAreMoreRuns) {
  for (bool more : {false, true}) {
    run_->takes_clients = true;
    HostedSink sink = Make(more);
    sink.Send(Registered());
    v1::ServerMessage task;
    task.mutable_task();
    sink.Send(task);
    run_->takes_clients = false;  // the run is over
    sink.Send(Goodbye());
    sink.Close(absl::OkStatus());
  }
  const auto said = sink_->messages();
  ASSERT_EQ(said.size(), 6);
  EXPECT_FALSE(said[0].registered().more_runs());
  EXPECT_FALSE(said[2].goodbye().more_runs());
  EXPECT_TRUE(said[3].registered().more_runs());
  EXPECT_TRUE(said[5].goodbye().more_runs());
  EXPECT_EQ(closed_, 2);
  EXPECT_FALSE(back_);
}

TEST_F(HostedSinkTest, SendsAheadWhatItNeitherChangesNorKeeps) {
  HostedSink sink = Make(true);
  sink.SendAhead(Goodbye());  // which gives a newcomer back: kept
  EXPECT_TRUE(sink_->messages().empty());
  sink.SendAhead(Registered());
  EXPECT_TRUE(sink_->AwaitRegistered().registered().more_runs());
  EXPECT_EQ(sink_->ahead(), 0);
  v1::ServerMessage over;
  over.mutable_task_over();
  sink.SendAhead(over);
  EXPECT_EQ(sink_->messages().size(), 2);
  EXPECT_EQ(sink_->ahead(), 1);
}

TEST_F(HostedSinkTest, ARunThatIsOverGivesNewcomersBack) {
  HostedSink sink = Make(true);
  sink.Send(Goodbye());
  sink.Close(absl::OkStatus());
  EXPECT_TRUE(sink_->messages().empty());
  EXPECT_FALSE(sink_->closed());
  ASSERT_TRUE(back_);
  EXPECT_EQ(back_->register_().name(), "a");
}

TEST_F(HostedSinkTest, WhomARunTurnsAwayHearsIt) {
  run_->takes_clients = true;
  HostedSink sink = Make(true);
  sink.Send(Goodbye());
  sink.Close(absl::NotFoundError("no part"));
  EXPECT_TRUE(sink_->AwaitGoodbye().more_runs());
  EXPECT_THAT(sink_->AwaitClosed(),
              StatusIs(absl::StatusCode::kNotFound, "no part"));
  EXPECT_FALSE(back_);
}

}  // namespace
}  // namespace parley
