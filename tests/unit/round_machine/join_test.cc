// Who gets in, who takes whose place, and what becomes of nonsense.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "tests/unit/round_machine/round_world.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

TEST(Join, ASecondProcessTakesOverTheName) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  const SessionId old_session = world.client("a").session;
  const std::string old_token = world.client("a").welcome->token();
  std::vector<std::pair<SessionId, v1::Goodbye>> goodbyes;
  v1::Register hello = world.Hello("a");
  hello.set_incarnation(2);
  // By hand, to see what the old session is told.
  const SessionId fresh = world.Open();
  v1::ClientMessage message;
  *message.mutable_register_() = hello;
  std::string goodbye;
  bool ended = false;
  bool welcomed = false;
  for (const RoundEffect& effect :
       world.Step(event::MessageReceived{fresh, message})) {
    if (const auto* send = std::get_if<effect::Send>(&effect)) {
      if (send->session == old_session) {
        goodbye = send->message.goodbye().reason();
        EXPECT_FALSE(send->message.goodbye().retry());
        EXPECT_FALSE(send->message.goodbye().run_over());
      } else {
        EXPECT_EQ(send->session, fresh);
        welcomed |= send->message.has_registered();
        EXPECT_NE(send->message.registered().token(), old_token);
      }
    }
    if (const auto* end = std::get_if<effect::EndSession>(&effect)) {
      ended |= end->session == old_session;
    }
  }
  EXPECT_EQ(goodbye, "another process joined under this name");
  EXPECT_TRUE(ended);
  EXPECT_TRUE(welcomed);
}

TEST(Join, ComingBackInANewSessionEndsTheOldOneWithoutAGoodbye) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  world.Join("b");
  world.Join("a");  // the old connection has not been seen to break
  EXPECT_FALSE(world.client("a").goodbye);
  EXPECT_EQ(world.client("a").tasks, 2);  // the same task again
  EXPECT_EQ(world.client("a").task->task().attempt(), 1);
  world.Answer("a");
  world.Answer("b");
  EXPECT_TRUE(world.end);
}

TEST(Join, IsRefusedWithAReason) {
  RoundWorld world(SmallRun());
  const auto refusal = [&](auto change) {
    v1::Register hello = world.Hello("x");
    change(hello);
    world.client("x") = {};
    world.Join("x", hello);
    EXPECT_EQ(world.client("x").session, 0u);
    EXPECT_FALSE(world.client("x").welcome);
    EXPECT_TRUE(world.client("x").goodbye);
    EXPECT_FALSE(world.client("x").goodbye->retry());
    return world.client("x").goodbye->reason();
  };
  EXPECT_THAT(refusal([](auto& h) { h.set_protocol_version(9); }),
              HasSubstr("version 9"));
  EXPECT_THAT(refusal([](auto& h) { h.set_name("a/b"); }), HasSubstr("name"));
  EXPECT_THAT(refusal([](auto& h) { h.set_incarnation(0); }),
              HasSubstr("incarnation"));
  EXPECT_THAT(refusal([](auto& h) { h.clear_encodings(); }),
              HasSubstr("ENCODING_FLOAT32"));
  EXPECT_THAT(refusal([](auto& h) { h.clear_kinds(); }), HasSubstr("TRAIN"));
  EXPECT_THAT(refusal([](auto& h) {
                for (int i = 0; i < 65; ++i) {
                  (*h.mutable_labels())[absl::StrCat(i)] = "x";
                }
              }),
              HasSubstr("65 labels; at most 64"));
  EXPECT_THAT(refusal([](auto& h) {
                (*h.mutable_labels())["x"] = std::string(257, 'x');
              }),
              HasSubstr("a label has 257 bytes"));
  EXPECT_THAT(refusal([](auto& h) {
                h.set_wants_part(true);
                h.set_part(4);
              }),
              HasSubstr("part 4"));
}

TEST(Join, ACertificatesNameHolds) {
  RoundWorld world(SmallRun());
  for (const std::string name : {"a", "b"}) {
    const SessionId id = world.Open("a");
    v1::ClientMessage message;
    *message.mutable_register_() = world.Hello(name);
    bool welcomed = false;
    for (const auto& e : world.Step(event::MessageReceived{id, message})) {
      const auto* send = std::get_if<effect::Send>(&e);
      if (send == nullptr) continue;
      welcomed |= send->message.has_registered();
      if (name == "b") {
        EXPECT_THAT(send->message.goodbye().reason(), HasSubstr("certificate"));
      }
    }
    EXPECT_EQ(welcomed, name == "a");
  }
}

TEST(Join, AFullRunAsksToComeBackLater) {
  v1::RunConfig config = SmallRun();
  config.mutable_limits()->set_clients(1);
  RoundWorld world(config);
  world.Join("a");
  world.Join("b");
  EXPECT_TRUE(world.client("b").goodbye->retry());
  EXPECT_THAT(world.client("b").goodbye->reason(), HasSubstr("limits.clients"));
}

TEST(Join, AnotherRunIsRefused) {
  RoundWorld world(SmallRun());
  const SessionId id = world.Open();
  v1::ClientMessage message;
  message.set_run("other");
  *message.mutable_register_() = world.Hello("a");
  std::string reason;
  for (const auto& e : world.Step(event::MessageReceived{id, message})) {
    if (const auto* send = std::get_if<effect::Send>(&e)) {
      reason = send->message.goodbye().reason();
    }
  }
  EXPECT_THAT(reason, HasSubstr("runs 'test', not 'other'"));
}

TEST(Join, WhoeverDoesNotRegisterIsSentAway) {
  RoundWorld world(SmallRun());
  const SessionId silent = world.Open();
  const SessionId impatient = world.Open();
  v1::ClientMessage message;
  message.mutable_heartbeat();
  const auto ends = [](const std::vector<RoundEffect>& effects) {
    std::vector<SessionId> ended;
    for (const auto& e : effects) {
      if (const auto* end = std::get_if<effect::EndSession>(&e)) {
        ended.push_back(end->session);
      }
    }
    return ended;
  };
  EXPECT_THAT(ends(world.Step(event::MessageReceived{impatient, message})),
              ::testing::ElementsAre(impatient));
  EXPECT_LE(world.timer() - world.now(), absl::Seconds(15));
  world.Advance(absl::Seconds(16));
  // It is gone: what it says now goes nowhere.
  EXPECT_TRUE(world.Step(event::MessageReceived{silent, message}).empty());
}

TEST(Join, ACrowdThatDoesNotRegisterKeepsNobodyOut) {
  RoundWorld world(SmallRun(1, 1));
  world.keep_log = true;
  std::vector<SessionId> crowd;
  for (int i = 0; i < 3000; ++i) crowd.push_back(world.Open());
  EXPECT_THAT(world.log, HasSubstr("1000 connections have not registered"));
  // The oldest are gone: what they say goes nowhere.
  v1::ClientMessage message;
  message.mutable_heartbeat();
  for (int i = 0; i < 3000; i += 100) {
    EXPECT_EQ(world.Step(event::MessageReceived{crowd[i], message}).empty(),
              i < 2000)
        << i;
  }
  world.Join("a");
  world.Answer("a");
  EXPECT_TRUE(world.end);
}

TEST(Join, AFloodOfMessagesEndsItsSessionOnly) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  world.Join("b");
  v1::ClientMessage progress;
  *progress.mutable_progress()->mutable_task() = world.client("a").task->task();
  int said = 0;
  while (!world.client("a").goodbye && said < 10000) {
    world.Say("a", progress);
    ++said;
  }
  EXPECT_GT(said, 100);
  EXPECT_LT(said, 1000);
  EXPECT_THAT(world.client("a").goodbye->reason(),
              HasSubstr("messages a second"));
  EXPECT_TRUE(world.client("a").goodbye->retry());
  EXPECT_FALSE(world.client("b").goodbye);
  world.Answer("b");
  world.Join("a");  // keeps its task
  world.Answer("a");
  EXPECT_TRUE(world.end);
}

TEST(Join, RegisteringAgainAndAgainIsAFloodToo) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  v1::ClientMessage hello;
  *hello.mutable_register_() = world.Hello("a");
  for (int i = 0; i < 1000 && !world.client("a").goodbye; ++i) {
    world.Say("a", hello);
  }
  ASSERT_TRUE(world.client("a").goodbye);
  EXPECT_THAT(world.client("a").goodbye->reason(),
              HasSubstr("messages a second"));
}

TEST(Join, WhatTasksAndLeasesAskForIsNoFlood) {
  // Rounds that take no time, and a client that tells its progress.
  RoundWorld world(SmallRun(1, 5000));
  world.Join("a");
  for (int round = 0; round < 5000; ++round) {
    v1::ClientMessage progress;
    *progress.mutable_progress()->mutable_task() =
        world.client("a").task->task();
    world.Say("a", progress);
    world.Answer("a");
    ASSERT_FALSE(world.client("a").goodbye && !world.end) << round;
  }
  EXPECT_TRUE(world.end);

  v1::RunConfig config = SmallRun(1, 1);
  config.mutable_limits()->set_lease_seconds(0.1);
  RoundWorld hasty(config);
  hasty.Join("a");
  for (int i = 0; i < 5000; ++i) {
    hasty.Advance(
        absl::Milliseconds(hasty.client("a").welcome->heartbeat_ms()));
    hasty.Beat("a");
  }
  EXPECT_FALSE(hasty.client("a").goodbye);
}

TEST(Join, NonsenseIsPassedOverAndThenEnds) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  world.Join("b");
  const SessionId id = world.client("a").session;
  v1::ClientMessage wrong_term;
  wrong_term.set_run("test");
  wrong_term.set_term(6);
  wrong_term.mutable_heartbeat();
  world.Step(event::MessageReceived{id, wrong_term});
  EXPECT_TRUE(world.Said("another run or term"));
  v1::UpdateReady not_mine = world.Update("b");
  world.Ready("a", not_mine);
  EXPECT_TRUE(world.Said("another client's task"));
  EXPECT_FALSE(world.client("a").goodbye);
  for (int i = 0; i < 8; ++i) world.Say("a", v1::ClientMessage());
  EXPECT_TRUE(world.client("a").goodbye);
  EXPECT_EQ(world.client("a").session, 0u);
  EXPECT_FALSE(world.end);
  world.Answer("b");
  world.Join("a");  // keeps its task
  world.Answer("a");
  EXPECT_TRUE(world.end);
}

TEST(Join, ProgressIsShownWhileTheTaskLasts) {
  RoundWorld world(SmallRun(2, 2));
  world.Join("a");
  world.Join("b");
  const auto say = [&world](double fraction, const v1::TaskId& task) {
    v1::ClientMessage message;
    *message.mutable_progress()->mutable_task() = task;
    message.mutable_progress()->set_fraction(fraction);
    world.Say("a", message);
    world.Advance(absl::Milliseconds(100));  // a status at most so often
  };
  const auto row = [&world](const std::string& name) {
    for (const v1::ClientStatus& client : world.status->client()) {
      if (client.name() == name) return client;
    }
    return v1::ClientStatus();
  };
  const v1::TaskId first = world.client("a").task->task();
  EXPECT_FALSE(row("a").has_progress());
  say(0.25, first);
  EXPECT_EQ(row("a").progress(), 0.25);
  EXPECT_FALSE(row("b").has_progress());
  say(0.5, first);
  EXPECT_EQ(row("a").progress(), 0.5);
  world.Advance(absl::Seconds(10));
  EXPECT_TRUE(world.Said("a (training, 50 %)"));

  // What is none is passed over, and said.
  for (const double wrong : {-0.1, 1.5, std::nan("")}) say(wrong, first);
  EXPECT_TRUE(world.Said("a progress of 1.5, which is not from 0 to 1"));
  EXPECT_TRUE(world.Said("a progress of nan"));
  say(0.9, world.client("b").task->task());
  EXPECT_TRUE(world.Said("the progress of another client's task"));
  EXPECT_EQ(row("a").progress(), 0.5);
  EXPECT_FALSE(world.client("a").goodbye);

  world.Answer("a");
  EXPECT_FALSE(row("a").has_progress());
  world.Answer("b");
  say(1, first);  // of the round before
  EXPECT_FALSE(row("a").has_progress());
}

TEST(Join, UnknownSessionsAndTransfersDoNoHarm) {
  RoundWorld world(SmallRun());
  world.Step(event::MessageReceived{99, {}});
  world.Step(event::SessionClosed{99, absl::OkStatus()});
  world.Step(event::TransferEnded{99, absl::OkStatus(), 1, 1});
  world.Step(event::TransferCancelled{99});
  world.Step(event::Aggregated{absl::OkStatus(), 1});
  world.Step(event::CentrallyEvaluated{absl::InternalError("x")});
  EXPECT_FALSE(world.end);
}

TEST(Join, WaitingForClientsIsSaidEveryTenSeconds) {
  RoundWorld world(SmallRun(10, 1));
  for (const std::string name : {"a", "b", "c"}) world.Join(name);
  for (int i = 0; i < 5; ++i) {
    world.Advance(absl::Seconds(5));
    for (const std::string name : {"a", "b", "c"}) world.Beat(name);
  }
  EXPECT_EQ(world.client("a").notices.size(), 2u);
  EXPECT_EQ(world.client("a").notices[0],
            "waiting for 7 more clients (3 of 10 registered)");
  EXPECT_TRUE(world.Said("waiting for 7 more clients (3 of 10 registered)"));
}

TEST(Join, StopTellsEveryone) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  world.Join("b");
  world.Answer("a");
  const SessionId unregistered = world.Open();
  EXPECT_GT(unregistered, 0u);
  world.Step(event::StopRequested{"somebody said so"});
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::STOPPED);
  EXPECT_EQ(world.client("b").goodbye->reason(), "somebody said so");
  EXPECT_FALSE(world.client("b").goodbye->run_over());
  EXPECT_FALSE(world.client("b").goodbye->retry());
  EXPECT_EQ(world.discards, 1);
  EXPECT_FALSE(world.client("b").overs.back().counted());
  EXPECT_EQ(world.timer(), absl::InfiniteFuture());
  // Nobody is let in any more.
  world.Join("c");
  EXPECT_EQ(world.client("c").session, 0u);
  EXPECT_TRUE(world.client("c").goodbye);
}

TEST(Join, StopWhileAggregatingCommitsTheRound) {
  RoundWorld world(SmallRun(1, 5));
  world.aggregates = false;
  world.Join("a");
  world.Answer("a");
  world.Step(event::StopRequested{"enough"});
  EXPECT_FALSE(world.end);
  world.Step(event::Aggregated{absl::OkStatus(), 5});
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::STOPPED);
  EXPECT_EQ(world.folded.size(), 1u);
  EXPECT_EQ(world.checkpoints.back(), "1 last");
}

TEST(Join, WallTimeEndsTheRunWell) {
  v1::RunConfig config = SmallRun(2, 5);
  config.mutable_stop()->set_wall_seconds(7);
  RoundWorld world(config);
  world.Join("a");
  world.Advance(absl::Seconds(8));
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::FINISHED);
  EXPECT_TRUE(world.client("a").goodbye->run_over());
}

TEST(Join, AFailedAggregateFailsTheRun) {
  RoundWorld world(SmallRun(1, 5));
  world.aggregate_status = absl::InvalidArgumentError("not finite");
  world.Join("a");
  world.Answer("a");
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::FAILED);
  EXPECT_THAT(world.end->reason, HasSubstr("not finite"));
  EXPECT_TRUE(world.checkpoints.empty());
}

TEST(Join, AFailedCentralEvaluationFailsTheRun) {
  v1::RunConfig config = SmallRun(1, 5);
  config.mutable_evaluation()->set_central(true);
  RoundWorld world(config);
  world.central = [](int64_t) { return absl::InternalError("no test set"); };
  world.Join("a");
  world.Answer("a");
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.end->state, v1::FAILED);
  EXPECT_THAT(world.end->reason, HasSubstr("no test set"));
}

}  // namespace
}  // namespace parley
