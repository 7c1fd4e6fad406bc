#include "client/session/session_machine.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/wire/protocol.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// One short word an effect, log lines left out.
std::string Word(const SessionEffect& effect) {
  struct Visitor {
    std::string operator()(const session_effect::Dial& e) {
      return absl::StrCat("dial ", e.address);
    }
    std::string operator()(const session_effect::HangUp&) { return "hang up"; }
    std::string operator()(const session_effect::Send& e) {
      const v1::ClientMessage& m = e.message;
      switch (m.kind_case()) {
        case v1::ClientMessage::kRegister:
          return "register";
        case v1::ClientMessage::kHeartbeat:
          return "heartbeat";
        case v1::ClientMessage::kUpdateReady:
          return absl::StrCat("ready ", m.update_ready().task().round());
        case v1::ClientMessage::kTaskFailed:
          return absl::StrCat("failed ", m.task_failed().task().round(), ": ",
                              m.task_failed().reason());
        case v1::ClientMessage::kLeave:
          return "leave";
        default:
          return "?";
      }
    }
    std::string operator()(const session_effect::MakeTrainer&) {
      return "make trainer";
    }
    std::string operator()(const session_effect::OpenJob& e) {
      return absl::StrCat("open ", e.task.task().round());
    }
    std::string operator()(const session_effect::StartDownload&) {
      return "download";
    }
    std::string operator()(const session_effect::Work&) { return "work"; }
    std::string operator()(const session_effect::StartUpload& e) {
      return absl::StrCat("upload from ", e.offset);
    }
    std::string operator()(const session_effect::StopTransfer&) {
      return "stop transfer";
    }
    std::string operator()(const session_effect::LookAtTransfer&) {
      return "look";
    }
    std::string operator()(const session_effect::DropJob&) { return "drop"; }
    std::string operator()(const session_effect::Say&) { return ""; }
    std::string operator()(const session_effect::Exit& e) {
      return absl::StrCat("exit ", absl::StatusCodeToString(e.status.code()));
    }
  };
  return std::visit(Visitor(), effect);
}

using Words = std::vector<std::string>;

// Steps a machine by hand: names what comes in, tells what goes out.
class SessionMachineTest : public ::testing::Test {
 protected:
  SessionMachineTest() {
    options_.hello.set_name("ann");
    options_.hello.set_incarnation(7);
    options_.hello.set_protocol_version(kProtocolVersion);
    options_.hello.add_kinds(v1::TRAIN);
    options_.hello.add_kinds(v1::EVALUATE);
    options_.servers = {"a:1"};
  }

  SessionMachine& machine() {
    if (!machine_) machine_.emplace(options_, Rng(1, "jitter"));
    return *machine_;
  }

  Words Step(SessionEvent event) {
    Words words;
    for (const SessionEffect& effect : machine().Step(std::move(event), now_)) {
      if (auto* e = std::get_if<session_effect::Dial>(&effect)) {
        connection_ = e->connection;
      } else if (auto* e = std::get_if<session_effect::MakeTrainer>(&effect)) {
        trainer_ = e->trainer;
      } else if (auto* e = std::get_if<session_effect::OpenJob>(&effect)) {
        job_ = e->job;
      } else if (auto* e =
                     std::get_if<session_effect::StartDownload>(&effect)) {
        transfer_ = e->transfer;
        token_ = e->token;
      } else if (auto* e = std::get_if<session_effect::StartUpload>(&effect)) {
        transfer_ = e->transfer;
        token_ = e->token;
      } else if (auto* e = std::get_if<session_effect::Send>(&effect)) {
        sent_ = e->message;
      } else if (auto* e = std::get_if<session_effect::Say>(&effect)) {
        said_.push_back(e->text);
      } else if (auto* e = std::get_if<session_effect::Exit>(&effect)) {
        exit_ = e->status;
      }
      if (std::string word = Word(effect); !word.empty()) {
        words.push_back(std::move(word));
      }
    }
    return words;
  }

  // Lets time pass until the machine wants to be woken, at most `limit`.
  Words Wake(absl::Duration limit = absl::Hours(1)) {
    now_ = std::min(machine().wake_at(), now_ + limit);
    return Step(session_event::TimerFired{});
  }
  // All that happens within `d`.
  Words Pass(absl::Duration d) {
    const absl::Time end = now_ + d;
    Words all;
    while (machine().wake_at() <= end) {
      for (std::string& word : Wake()) all.push_back(std::move(word));
    }
    now_ = end;
    return all;
  }

  Words Start() { return Step(session_event::Started{}); }
  Words Stop() { return Step(session_event::StopRequested{"stopped"}); }
  Words Lose() {
    return Step(
        session_event::Closed{connection_, absl::UnavailableError("broken")});
  }
  Words Receive(v1::ServerMessage message) {
    if (message.run().empty()) message.set_run("run");
    if (message.term() == 0) message.set_term(term_);
    return Step(session_event::Received{connection_, std::move(message)});
  }
  v1::ServerMessage Registered() {
    v1::ServerMessage message;
    v1::Registered& r = *message.mutable_registered();
    r.set_protocol_version(kProtocolVersion);
    r.set_heartbeat_ms(1000);
    r.set_lease_ms(lease_ms_);
    r.set_token(absl::StrCat("token ", ++registrations_));
    return message;
  }
  v1::TaskId Id(int64_t round, int32_t attempt = 1) {
    v1::TaskId id;
    id.set_run("run");
    id.set_term(term_);
    id.set_round(round);
    id.set_client("ann");
    id.set_attempt(attempt);
    return id;
  }
  Words Task(int64_t round, int32_t attempt = 1,
             v1::TaskKind kind = v1::TRAIN) {
    v1::ServerMessage message;
    *message.mutable_task()->mutable_task() = Id(round, attempt);
    message.mutable_task()->set_kind(kind);
    message.mutable_task()->set_model_version(round - 1);
    return Receive(message);
  }
  Words Grant(int64_t round, uint64_t offset) {
    v1::ServerMessage message;
    *message.mutable_grant_upload()->mutable_task() = Id(round);
    message.mutable_grant_upload()->set_offset(offset);
    return Receive(message);
  }
  Words Verdict(int64_t round, bool accepted) {
    v1::ServerMessage message;
    *message.mutable_verdict()->mutable_task() = Id(round);
    message.mutable_verdict()->set_accepted(accepted);
    message.mutable_verdict()->set_reason("has NaN");
    return Receive(message);
  }
  Words Over(int64_t round) {
    v1::ServerMessage message;
    *message.mutable_task_over()->mutable_task() = Id(round);
    return Receive(message);
  }
  Words Goodbye(bool run_over, bool retry) {
    v1::ServerMessage message;
    message.mutable_goodbye()->set_reason("because");
    message.mutable_goodbye()->set_run_over(run_over);
    message.mutable_goodbye()->set_retry(retry);
    return Receive(message);
  }
  Words TrainerMade(absl::Status status = absl::OkStatus()) {
    return Step(session_event::TrainerMade{trainer_, status});
  }
  Words Transferred(absl::Status status = absl::OkStatus()) {
    return Step(session_event::TransferEnded{transfer_, status});
  }
  // At its next look.
  Words Moved(uint64_t chunks) {
    for (Words words = Wake(); words.empty() || words[0] != "look";
         words = Wake()) {
      EXPECT_EQ(words, Words{"heartbeat"});
    }
    return Step(session_event::TransferMoved{transfer_, chunks});
  }
  Words Worked() {
    v1::UpdateReady result;
    result.set_weight(10);
    return Step(session_event::Worked{job_, result});
  }

  // To the point where it waits for a task.
  void Join() {
    Start();
    Receive(Registered());
    TrainerMade();
  }
  void Reconnect() {
    Lose();
    ASSERT_THAT(Wake(), ElementsAre("dial a:1", "register"));
    Receive(Registered());
  }
  // To the point where round 1 is trained and announced.
  void Train() {
    Join();
    Task(1);
    Transferred();
    ASSERT_THAT(Worked(), ElementsAre("ready 1"));
  }

  SessionMachineOptions options_;
  absl::Time now_ = absl::UnixEpoch();
  uint64_t term_ = 1;
  int registrations_ = 0;
  int64_t lease_ms_ = 0;
  uint64_t connection_ = 0, trainer_ = 0, job_ = 0, transfer_ = 0;
  std::string token_;
  v1::ClientMessage sent_;
  Words said_;
  std::optional<absl::Status> exit_;

 private:
  std::optional<SessionMachine> machine_;
};

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
                               "UNAVAILABLE: broken"));
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
