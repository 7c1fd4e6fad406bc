// What a session machine does where connections and transfers break.
#include "client/session/session_machine.h"
#include "tests/unit/session/session_machine_fixture.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// ------------------------------------------------------------ lost connections

TEST_F(SessionMachineTest, ComesBackUnderTheSameIncarnation) {
  Join();
  EXPECT_THAT(Lose(), ElementsAre("hang up"));
  EXPECT_LE(machine().wake_at(), now_ + absl::Milliseconds(100));
  EXPECT_THAT(Wake(), ElementsAre("dial a:1", "register"));
  EXPECT_EQ(sent_.register_().incarnation(), 7);
  EXPECT_THAT(Receive(Registered()), IsEmpty());  // the trainer stays
}

TEST_F(SessionMachineTest, LostInADownloadItGoesOnWithIt) {
  Join();
  Task(1);
  EXPECT_THAT(Lose(), ElementsAre("stop transfer", "hang up"));
  EXPECT_THAT(Wake(), ElementsAre("dial a:1", "register"));
  const uint64_t stopped = transfer_;
  EXPECT_THAT(Receive(Registered()), ElementsAre("download"));
  EXPECT_EQ(token_, "token 2");
  EXPECT_THAT(Task(1), IsEmpty());
  EXPECT_THAT(Step(session_event::TransferEnded{stopped, absl::OkStatus()}),
              IsEmpty());
  EXPECT_THAT(Transferred(), ElementsAre("work"));
}

TEST_F(SessionMachineTest, LostInTrainingItTrainsOn) {
  Join();
  Task(1);
  Transferred();
  Reconnect();
  EXPECT_THAT(Task(1), IsEmpty());
  EXPECT_THAT(Worked(), ElementsAre("ready 1"));
}

TEST_F(SessionMachineTest, DoneWhileAwayItAnswersOnReturn) {
  Join();
  Task(1);
  Transferred();
  Lose();
  EXPECT_THAT(Worked(), IsEmpty());
  EXPECT_THAT(Wake(), ElementsAre("dial a:1", "register"));
  EXPECT_THAT(Receive(Registered()), ElementsAre("ready 1"));
  EXPECT_THAT(Task(1), ElementsAre("ready 1"));
}

TEST_F(SessionMachineTest, LostInAnUploadItGoesOnAtTheGrantedOffset) {
  Train();
  Grant(1, 0);
  EXPECT_THAT(Lose(), ElementsAre("stop transfer", "hang up"));
  Wake();
  EXPECT_THAT(Receive(Registered()), ElementsAre("ready 1"));
  EXPECT_THAT(Grant(1, 4096), ElementsAre("upload from 4096"));
  EXPECT_EQ(token_, "token 2");
  EXPECT_THAT(Transferred(), IsEmpty());
  EXPECT_THAT(Verdict(1, true), IsEmpty());
}

TEST_F(SessionMachineTest, KeepsTheAcceptedUpdateAcrossALoss) {
  Train();
  Grant(1, 0);
  Verdict(1, true);
  Reconnect();
  EXPECT_THAT(Grant(1, 0), ElementsAre("upload from 0"));
  Transferred();
  EXPECT_THAT(Over(1), ElementsAre("drop"));
}

TEST_F(SessionMachineTest, FailedWhileAwayItSaysSoOnReturn) {
  Join();
  Task(1);
  Transferred();
  Lose();
  EXPECT_THAT(Step(session_event::Worked{job_, absl::InternalError("boom")}),
              ElementsAre("drop"));
  Wake();
  EXPECT_THAT(Receive(Registered()), ElementsAre("failed 1: boom"));
}

TEST_F(SessionMachineTest, TriesTheNextAddressAndStaysWithOneThatAnswered) {
  options_.servers = {"a:1", "b:2"};
  EXPECT_THAT(Start(), ElementsAre("dial a:1", "register"));
  Lose();
  EXPECT_THAT(Wake(), ElementsAre("dial b:2", "register"));
  Receive(Registered());
  Lose();
  EXPECT_THAT(Wake(), ElementsAre("dial b:2", "register"));
  Lose();
  EXPECT_THAT(Wake(), ElementsAre("dial a:1", "register"));
}

TEST_F(SessionMachineTest, GivesUpADialWithoutAnswer) {
  options_.report_every = absl::InfiniteDuration();
  Start();
  EXPECT_THAT(Pass(absl::Milliseconds(19999)), IsEmpty());
  EXPECT_THAT(Pass(absl::Milliseconds(1)), ElementsAre("hang up"));
}

TEST_F(SessionMachineTest, BacksOffWithinBounds) {
  options_.report_every = absl::InfiniteDuration();
  Start();
  const absl::Time start = now_;
  for (int i = 0; i < 60; ++i) {
    Lose();
    const bool early = now_ - start < absl::Minutes(1);
    const absl::Duration full =
        std::min(absl::Milliseconds(100) * (1 << std::min(i, 10)),
                 absl::Seconds(early ? 5 : 15));
    EXPECT_GE(machine().wake_at() - now_, full / 2);
    EXPECT_LE(machine().wake_at() - now_, full);
    ASSERT_THAT(Wake(), ElementsAre("dial a:1", "register"));
  }
  EXPECT_GT(now_ - start, absl::Minutes(5));
}

TEST_F(SessionMachineTest, GivesUpAfterMaxOffline) {
  options_.max_offline = absl::Seconds(30);
  Join();
  Pass(absl::Minutes(5));  // online does not count
  Lose();
  const absl::Time lost = now_;
  while (!exit_) {
    if (Wake() == Words{"dial a:1", "register"}) Lose();
  }
  EXPECT_EQ(now_, lost + absl::Seconds(30));
  EXPECT_THAT(*exit_, StatusIs(absl::StatusCode::kUnavailable,
                               "no coordinator at a:1 for 30.0 s: "
                               "broken"));
}

TEST_F(SessionMachineTest, IgnoresWhatAnOldConnectionSays) {
  Join();
  const uint64_t old = connection_;
  Lose();
  v1::ServerMessage goodbye;
  goodbye.mutable_goodbye()->set_run_over(true);
  EXPECT_THAT(Step(session_event::Received{old, goodbye}), IsEmpty());
  EXPECT_THAT(Step(session_event::Closed{old, absl::OkStatus()}), IsEmpty());
}

// ---------------------------------------------------------- broken transfers

TEST_F(SessionMachineTest, RetriesADownload) {
  Join();
  Task(1);
  EXPECT_THAT(Transferred(absl::DataLossError("checksum")), IsEmpty());
  EXPECT_THAT(Wake(), ElementsAre("download"));
  EXPECT_THAT(Transferred(absl::UnavailableError("reset")), IsEmpty());
  EXPECT_THAT(Wake(), ElementsAre("download"));
  EXPECT_THAT(Transferred(), ElementsAre("work"));
}

TEST_F(SessionMachineTest, StopsATransferThatStalls) {
  lease_ms_ = 4000;
  options_.report_every = absl::InfiniteDuration();
  Join();
  Task(1);
  // Four looks in two leases, of which the first only begins the time.
  for (int i = 0; i < 20; ++i) EXPECT_THAT(Moved(i), IsEmpty());
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Moved(19), IsEmpty());
  EXPECT_THAT(Moved(19), ElementsAre("stop transfer"));
  EXPECT_THAT(said_.back(), HasSubstr("no chunk moved for 8.0 s; tries"));
  EXPECT_THAT(Wake(), ElementsAre("download"));
  for (int i = 0; i < 4; ++i) EXPECT_THAT(Moved(0), IsEmpty());
  Transferred();
  Worked();
  Grant(1, 0);
  for (int i = 0; i < 4; ++i) EXPECT_THAT(Moved(5), IsEmpty());
  EXPECT_THAT(Moved(5), ElementsAre("stop transfer"));
  EXPECT_THAT(Wake(), ElementsAre("ready 1"));
  EXPECT_THAT(Grant(1, 100), ElementsAre("upload from 100"));
  EXPECT_THAT(Step(session_event::TransferMoved{transfer_ - 1, 5}), IsEmpty());
}

TEST_F(SessionMachineTest, AsksAgainForABrokenUpload) {
  Train();
  Grant(1, 0);
  EXPECT_THAT(Transferred(absl::UnavailableError("reset")), IsEmpty());
  EXPECT_THAT(Wake(), ElementsAre("ready 1"));
  EXPECT_THAT(Grant(1, 100), ElementsAre("upload from 100"));
}

TEST_F(SessionMachineTest, TakesAnewGrantBeforeItAsksAgain) {
  Train();
  Grant(1, 0);
  Transferred(absl::UnavailableError("reset"));
  EXPECT_THAT(Grant(1, 100), ElementsAre("upload from 100"));
  EXPECT_THAT(Pass(absl::Milliseconds(900)), IsEmpty());
}

TEST_F(SessionMachineTest, DropsWhatTheCoordinatorWantsNoMore) {
  Join();
  Task(1);
  EXPECT_THAT(Transferred(absl::NotFoundError("no such task")),
              ElementsAre("drop"));
  Task(2);
  Transferred();
  Worked();
  Grant(2, 0);
  EXPECT_THAT(Transferred(absl::AbortedError("over")), ElementsAre("drop"));
}

TEST_F(SessionMachineTest, FailsATaskWhosePayloadsMakeNoSense) {
  Join();
  Task(1);
  EXPECT_THAT(
      Transferred(absl::InvalidArgumentError("wrong shape")),
      ElementsAre("drop",
                  HasSubstr("failed 1: download for the training of round 1: "
                            "INVALID_ARGUMENT: wrong shape")));
}

TEST_F(SessionMachineTest, WaitsForTheVerdictOnARefusedUpload) {
  Train();
  Grant(1, 0);
  EXPECT_THAT(Transferred(absl::InvalidArgumentError("NaN")), IsEmpty());
  EXPECT_THAT(Verdict(1, false), ElementsAre("drop"));
  EXPECT_THAT(said_.back(), HasSubstr("refused the training of round 1"));
  EXPECT_THAT(Task(1), ElementsAre("failed 1: refused before: has NaN"));
  EXPECT_THAT(Over(1), IsEmpty());
  EXPECT_THAT(Task(2), ElementsAre("open 2", "download"));
}

TEST_F(SessionMachineTest, TheSameFailureIsSaidOnceAndThenEveryTenSeconds) {
  options_.servers = {"a:1"};
  Start();
  const auto fail_for = [this](absl::Duration d) {
    said_.clear();
    for (const absl::Time end = now_ + d; now_ < end;) {
      if (Wake(end - now_) == Words{"dial a:1", "register"}) Lose();
    }
    return said_;
  };
  Lose();
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_THAT(said_[0], HasSubstr("no connection to a:1: broken; tries a:1"));
  EXPECT_THAT(
      fail_for(absl::Seconds(25)),
      ElementsAre("waits for the coordinator at a:1: broken, for 10.0 s",
                  "waits for the coordinator at a:1: broken, for "
                  "20.0 s"));
  while (Wake() != Words{"dial a:1", "register"}) {
  }
  Receive(Registered());
  said_.clear();
  Lose();
  EXPECT_EQ(said_.size(), 1u);  // after a connection it is news again
}

}  // namespace
}  // namespace parley
