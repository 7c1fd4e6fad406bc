#include "client/session/session_machine.h"

#include <functional>
#include <string>

#include "absl/strings/str_join.h"
#include "tests/unit/session/session_machine_fixture.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// ------------------------------------------------------------- the plain way

TEST_F(SessionMachineTest, TrainsAndReports) {
  EXPECT_THAT(Start(), ElementsAre("dial a:1", "register"));
  EXPECT_EQ(sent_.register_().name(), "ann");
  EXPECT_EQ(sent_.register_().incarnation(), 7);
  EXPECT_THAT(Receive(Registered()), ElementsAre("make trainer"));
  EXPECT_THAT(TrainerMade(), IsEmpty());
  EXPECT_THAT(Task(3), ElementsAre("open 3", "download"));
  EXPECT_EQ(token_, "token 1");
  EXPECT_THAT(Transferred(), ElementsAre("work"));
  EXPECT_THAT(Worked(), ElementsAre("ready 3"));
  EXPECT_EQ(sent_.run(), "run");
  EXPECT_EQ(sent_.term(), 1);
  EXPECT_EQ(sent_.update_ready().base_version(), 2);
  EXPECT_EQ(sent_.update_ready().contributors(), 1);
  EXPECT_EQ(sent_.update_ready().weight(), 10);
  EXPECT_THAT(Grant(3, 0), ElementsAre("upload from 0"));
  EXPECT_THAT(Transferred(), IsEmpty());
  EXPECT_THAT(Verdict(3, true), IsEmpty());
  EXPECT_THAT(Over(3), ElementsAre("drop"));
  EXPECT_THAT(Goodbye(true, false), ElementsAre("hang up", "exit OK"));
  EXPECT_THAT(Task(4), IsEmpty());
  EXPECT_EQ(machine().wake_at(), absl::InfiniteFuture());
}

TEST_F(SessionMachineTest, EvaluatesWithoutUpload) {
  Join();
  EXPECT_THAT(Task(1, 1, v1::EVALUATE), ElementsAre("open 1", "download"));
  EXPECT_THAT(Transferred(), ElementsAre("work"));
  EXPECT_THAT(Worked(), ElementsAre("ready 1"));
  EXPECT_THAT(Verdict(1, true), IsEmpty());
  EXPECT_THAT(Over(1), ElementsAre("drop"));
}

TEST_F(SessionMachineTest, DownloadsWhileItLoadsItsData) {
  Start();
  Receive(Registered());
  EXPECT_THAT(Task(1), ElementsAre("open 1", "download"));
  EXPECT_THAT(Transferred(), IsEmpty());
  EXPECT_THAT(TrainerMade(), ElementsAre("work"));
}

TEST_F(SessionMachineTest, HeartbeatsAtThePaceToldUnlessItSpeaksAnyway) {
  Join();
  EXPECT_THAT(Pass(absl::Milliseconds(3500)),
              ElementsAre("heartbeat", "heartbeat", "heartbeat"));
  Task(1);
  Transferred();
  EXPECT_THAT(Pass(absl::Milliseconds(900)), ElementsAre("heartbeat"));
  Worked();  // 0.4 s after the last one
  EXPECT_THAT(Pass(absl::Milliseconds(999)), IsEmpty());
  EXPECT_THAT(Pass(absl::Milliseconds(1)), ElementsAre("heartbeat"));
}

TEST_F(SessionMachineTest, HeartbeatsTellHowFarTheWorkIs) {
  Join();
  fraction_ = 0.25;  // not of this job, which is not worked on yet
  Task(1);
  EXPECT_THAT(Pass(absl::Seconds(1)), ElementsAre("heartbeat"));
  Transferred();
  fraction_.reset();
  EXPECT_THAT(Pass(absl::Seconds(1)), ElementsAre("heartbeat"));
  fraction_ = 0.25;
  EXPECT_THAT(Pass(absl::Seconds(1)), ElementsAre("progress 1: 0.25"));
  EXPECT_EQ(sent_.term(), 1);
  EXPECT_EQ(sent_.progress().task().client(), "ann");
  fraction_ = 0.75;
  EXPECT_THAT(Pass(absl::Seconds(1)), ElementsAre("progress 1: 0.75"));
  Worked();
  EXPECT_THAT(Pass(absl::Seconds(1)), ElementsAre("heartbeat"));
}

TEST_F(SessionMachineTest, NewTaskCancelsTheOlderOne) {
  Join();
  Task(1);
  EXPECT_THAT(Task(2),
              ElementsAre("stop transfer", "drop", "open 2", "download"));
  Transferred();
  const uint64_t old_job = job_;
  EXPECT_THAT(Task(2, /*attempt=*/2),
              ElementsAre("drop", "open 2", "download"));
  EXPECT_THAT(Step(session_event::Worked{old_job, v1::UpdateReady()}),
              IsEmpty());
}

TEST_F(SessionMachineTest, TaskOverCancelsWork) {
  Join();
  Task(1);
  Transferred();
  EXPECT_THAT(Over(2), IsEmpty());  // of another task
  EXPECT_THAT(Over(1), ElementsAre("drop"));
  EXPECT_THAT(Worked(), IsEmpty());
}

// ----------------------------------------------------------- things amiss

TEST_F(SessionMachineTest, FailingTrainerDoesNotEndTheClient) {
  Join();
  Task(1);
  Transferred();
  EXPECT_THAT(Step(session_event::Worked{job_, absl::InternalError("boom")}),
              ElementsAre("drop", "failed 1: boom"));
  EXPECT_THAT(Over(1), IsEmpty());
  EXPECT_THAT(Task(2), ElementsAre("open 2", "download"));
}

TEST_F(SessionMachineTest, RefusesAKindThatItDoesNotKnow) {
  Join();
  EXPECT_THAT(
      Task(1, 1, static_cast<v1::TaskKind>(9)),
      ElementsAre("failed 1: this client does not know tasks of kind 9"));
}

TEST_F(SessionMachineTest, IgnoresATaskOfSomebodyElse) {
  Join();
  v1::ServerMessage message;
  *message.mutable_task()->mutable_task() = Id(1);
  message.mutable_task()->mutable_task()->set_client("bob");
  EXPECT_THAT(Receive(message), IsEmpty());
}

TEST_F(SessionMachineTest, OtherProtocolVersionIsFinal) {
  Start();
  v1::ServerMessage message = Registered();
  message.mutable_registered()->set_protocol_version(99);
  EXPECT_THAT(Receive(message), ElementsAre("leave"));
  EXPECT_THAT(Wake(), ElementsAre("hang up", "exit FAILED_PRECONDITION"));
  EXPECT_THAT(*exit_, StatusIs(absl::StatusCode::kFailedPrecondition,
                               "speaks protocol version 99"));
}

TEST_F(SessionMachineTest, TrainerThatDoesNotFitIsFinal) {
  Start();
  Receive(Registered());
  Task(1);
  EXPECT_THAT(TrainerMade(absl::FailedPreconditionError("other model")),
              ElementsAre("stop transfer", "drop", "leave"));
  EXPECT_EQ(sent_.leave().reason(), "other model");
  EXPECT_THAT(Lose(), ElementsAre("hang up", "exit FAILED_PRECONDITION"));
}

TEST_F(SessionMachineTest, HeldUpdateOfAnOlderTermIsDropped) {
  Train();
  const uint64_t old_job = job_;
  Lose();
  Wake();
  term_ = 2;
  EXPECT_THAT(Receive(Registered()), ElementsAre("drop"));
  EXPECT_THAT(Task(1), ElementsAre("open 1", "download"));
  EXPECT_NE(job_, old_job);
}

TEST_F(SessionMachineTest, MessagesOfAnotherTermAreDropped) {
  term_ = 2;
  Train();
  v1::ServerMessage over;
  *over.mutable_task_over()->mutable_task() = Id(1);
  over.set_term(1);
  EXPECT_THAT(Receive(over), IsEmpty());
  v1::ServerMessage goodbye;
  goodbye.mutable_goodbye()->set_run_over(true);
  goodbye.set_term(1);
  EXPECT_THAT(Receive(goodbye), IsEmpty());
}

TEST_F(SessionMachineTest, DeposedCoordinatorIsLeftForTheNext) {
  options_.servers = {"a:1", "b:2"};
  term_ = 5;
  Join();
  Lose();
  Wake();
  v1::ServerMessage old = Registered();
  old.set_term(4);
  EXPECT_THAT(Receive(old), ElementsAre("hang up"));
  EXPECT_THAT(Wake(), ElementsAre("dial b:2", "register"));
}

TEST_F(SessionMachineTest, DialThatCannotWorkIsFinal) {
  Start();
  EXPECT_THAT(Step(session_event::Closed{
                  connection_, absl::FailedPreconditionError("no TLS")}),
              ElementsAre("hang up", "exit FAILED_PRECONDITION"));
}

TEST_F(SessionMachineTest, OtherPartNeedsAnotherTrainer) {
  Train();
  Lose();
  Wake();
  v1::ServerMessage message = Registered();
  message.mutable_registered()->set_part(3);
  EXPECT_THAT(Receive(message), ElementsAre("drop", "make trainer"));
}

// ----------------------------------------------------------------- the end

TEST_F(SessionMachineTest, GoodbyeSaysHowItEnds) {
  Join();
  EXPECT_THAT(Goodbye(false, true), ElementsAre("hang up"));
  EXPECT_THAT(Wake(), ElementsAre("dial a:1", "register"));
  EXPECT_THAT(Goodbye(false, false),
              ElementsAre("hang up", "exit FAILED_PRECONDITION"));
  EXPECT_THAT(*exit_, StatusIs(absl::StatusCode::kFailedPrecondition,
                               "the coordinator at a:1 says: because"));
}

TEST_F(SessionMachineTest, StopTakesLeave) {
  Join();
  Task(1);
  Transferred();
  EXPECT_THAT(Stop(), ElementsAre("drop", "leave"));
  EXPECT_THAT(Task(2), IsEmpty());
  EXPECT_THAT(Wake(), ElementsAre("hang up", "exit OK"));
}

TEST_F(SessionMachineTest, StopDoesNotWaitLongForTheCoordinator) {
  Join();
  const absl::Time start = now_;
  Stop();
  Wake();
  EXPECT_TRUE(exit_.has_value());
  EXPECT_LE(now_ - start, absl::Milliseconds(500));
}

TEST_F(SessionMachineTest, StopEndsAtOnceWhileAway) {
  Start();
  Lose();
  EXPECT_THAT(Stop(), ElementsAre("hang up", "exit OK"));
}

TEST_F(SessionMachineTest, SaysWhatItWaitsFor) {
  options_.servers = {"a:1"};
  const auto said_after = [this](const std::function<void()>& what) {
    what();
    said_.clear();
    for (int i = 0; i < 11; ++i) Pass(absl::Seconds(1));
    return absl::StrJoin(said_, "\n");
  };
  EXPECT_EQ(said_after([&] { Start(); }),
            "waits for the coordinator at a:1, for 10.0 s");
  EXPECT_EQ(said_after([&] { Receive(Registered()); }),
            "loads its data, for 10.0 s");
  EXPECT_EQ(said_after([&] { TrainerMade(); }), "waits for a task, for 10.0 s");
  EXPECT_EQ(said_after([&] {
              v1::ServerMessage notice;
              notice.mutable_notice()->set_text("2 more clients");
              Receive(notice);
              Task(1);
              Over(1);
            }),
            "waits for a task: 2 more clients, for 10.0 s");
  EXPECT_EQ(said_after([&] { Task(2); }),
            "downloads for the training of round 2, for 10.0 s");
  EXPECT_EQ(said_after([&] { Transferred(); }),
            "works on the training of round 2, for 10.0 s");
  EXPECT_EQ(said_after([&] { Worked(); }),
            "waits for the coordinator to ask for the training of round 2, "
            "for 10.0 s");
  EXPECT_EQ(said_after([&] { Grant(2, 0); }),
            "uploads the training of round 2, for 10.0 s");
  EXPECT_EQ(said_after([&] { Transferred(); }),
            "waits for the verdict on the training of round 2, for 10.0 s");
  EXPECT_EQ(said_after([&] { Verdict(2, true); }),
            "waits for the end of the training of round 2, for 10.0 s");
}

// --------------------------------------------------------- several runs

v1::ServerMessage Notice() {
  v1::ServerMessage message;
  message.mutable_notice()->set_text("waits for a run: 0 go on");
  return message;
}

TEST_F(SessionMachineTest, WaitsForARunWhileItIsToldSo) {
  options_.max_offline = absl::Seconds(25);
  Start();
  for (int i = 0; i < 6; ++i) {  // for a minute
    EXPECT_THAT(Receive(Notice()), IsEmpty());
    EXPECT_THAT(Pass(absl::Seconds(10)), IsEmpty());
  }
  EXPECT_THAT(said_.back(), HasSubstr("waits for a run: 0 go on"));
  EXPECT_THAT(Receive(Registered()), ElementsAre("make trainer"));
  EXPECT_THAT(Pass(absl::Seconds(1)), ElementsAre("heartbeat"));
}

TEST_F(SessionMachineTest, ACoordinatorThatFallsSilentIsDialledAgain) {
  Start();
  Receive(Notice());
  EXPECT_THAT(Pass(SessionMachine::kDialTimeout - absl::Milliseconds(1)),
              IsEmpty());
  EXPECT_THAT(Wake(), ElementsAre("hang up"));
  EXPECT_THAT(Wake(), ElementsAre("dial a:1", "register"));
  Receive(Notice());
  EXPECT_THAT(Lose(), ElementsAre("hang up"));
  EXPECT_THAT(Wake(), ElementsAre("dial a:1", "register"));
  Receive(Notice());
  EXPECT_THAT(Goodbye(false, true), ElementsAre("hang up"));
}

TEST_F(SessionMachineTest, TakesLeaveWhileItWaits) {
  Start();
  Receive(Notice());
  EXPECT_THAT(Stop(), ElementsAre("leave"));
  EXPECT_THAT(Goodbye(false, false), ElementsAre("hang up", "exit OK"));
}

TEST_F(SessionMachineTest, ComesBackToItsRunWhereThereMayBeOthers) {
  for (bool more : {false, true}) {
    SessionMachine machine(options_, Rng(1, "jitter"));
    machine.Step(session_event::Started{}, now_);
    v1::ServerMessage message = Registered();
    message.set_run("run-1");
    message.set_term(1);
    message.mutable_registered()->set_more_runs(more);
    machine.Step(session_event::Received{1, message}, now_);
    machine.Step(session_event::Closed{1, absl::UnavailableError("")}, now_);
    std::optional<std::string> run;
    for (const SessionEffect& effect :
         machine.Step(session_event::TimerFired{}, machine.wake_at())) {
      if (const auto* send = std::get_if<session_effect::Send>(&effect)) {
        run = send->message.run();
      }
    }
    EXPECT_EQ(run, more ? "run-1" : "");
  }
}

TEST_F(SessionMachineTest, PassesOverARunThatTurnsItAway) {
  options_.hello.add_except_runs("run-1");
  Start();
  Receive(Notice());
  v1::ServerMessage message;
  message.set_run("run-2");
  message.mutable_goodbye()->set_reason("no part is free");
  message.mutable_goodbye()->set_more_runs(true);
  EXPECT_THAT(Receive(message), ElementsAre("hang up"));
  EXPECT_THAT(Wake(), ElementsAre("dial a:1", "register"));
  EXPECT_THAT(sent_.register_().except_runs(), ElementsAre("run-1", "run-2"));
  Receive(Registered());
  // But once it was in, that is the end.
  EXPECT_THAT(Receive(message),
              ElementsAre("hang up", "exit FAILED_PRECONDITION"));
}

}  // namespace
}  // namespace parley
