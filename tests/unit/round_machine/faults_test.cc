// Clients that break off, die, come back, answer twice or late, or wrongly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/round_machine/round_world.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Lets `d` pass while these clients stay awake.
void Pass(RoundWorld& world, absl::Duration d,
          const std::vector<std::string>& awake) {
  for (; d > absl::ZeroDuration(); d -= absl::Seconds(1)) {
    world.Advance(std::min(d, absl::Seconds(1)));
    for (const std::string& name : awake) {
      if (world.client(name).session != 0) world.Beat(name);
    }
  }
}

TEST(Faults, ABrokenConnectionKeepsTheTask) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  world.Join("b");
  world.Break("a");
  world.Advance(absl::Seconds(5));
  world.Join("a");
  EXPECT_EQ(world.client("a").tasks, 2);
  EXPECT_EQ(world.client("a").task->task().attempt(), 1);
  world.Answer("a");
  world.Answer("b");
  EXPECT_TRUE(world.end);
}

TEST(Faults, AnUploadGoesOnWhereItStopped) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  world.Join("b");
  world.Ready("a");
  const TransferId upload = world.OpenUpload("a");
  world.Break("a");
  world.End(upload, absl::UnavailableError("broke"), 16);
  world.Join("a");
  EXPECT_EQ(world.client("a").tasks, 1);  // no need to train again
  ASSERT_EQ(world.client("a").grants, 2);
  EXPECT_EQ(world.client("a").grant->offset(), 16u);
  world.Upload("a");
  world.Answer("b");
  EXPECT_TRUE(world.end);
  EXPECT_EQ(world.folded[0].size(), 2u);
}

TEST(Faults, AnUploadThatStillRunsAsItsClientComesBackIsEndedFirst) {
  RoundWorld world(SmallRun(2, 1));
  world.answers_cancelled = false;
  world.Join("a");
  world.Join("b");
  world.Ready("a");
  const TransferId upload = world.OpenUpload("a");
  world.Break("a");
  world.Join("a");
  EXPECT_EQ(world.client("a").grants, 1);
  world.End(upload, absl::AbortedError("cancelled"), 20);
  ASSERT_EQ(world.client("a").grants, 2);
  EXPECT_EQ(world.client("a").grant->offset(), 20u);
}

TEST(Faults, ANewProcessBeginsAnew) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  world.Join("b");
  const v1::UpdateReady old = world.Update("a");
  world.Ready("a");
  const TransferId upload = world.OpenUpload("a");
  world.Restart("a");
  EXPECT_FALSE(world.runs(upload));  // cancelled, its staging dropped
  EXPECT_EQ(world.client("a").task->task().attempt(), 2);
  world.Ready("a", old);
  EXPECT_FALSE(world.client("a").verdict->accepted());
  EXPECT_THAT(world.client("a").overs.back().reason(), HasSubstr("late"));
  world.Answer("a");
  world.Answer("b");
  EXPECT_TRUE(world.end);
}

TEST(Faults, ANewProcessIsNotTakenForTheOldOne) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  world.Join("b");
  const v1::UpdateReady old = world.Update("a");
  world.Restart("a");  // while the old one was training
  EXPECT_EQ(world.client("a").task->task().attempt(), 2);
  world.Ready("a", old);
  EXPECT_FALSE(world.client("a").verdict->accepted());
}

TEST(Faults, WhatWasSaidFirstHolds) {
  RoundWorld world(SmallRun(1, 1));
  world.Join("a");
  world.Ready("a", world.Update("a", 2));
  const TransferId upload = world.OpenUpload("a");
  world.Ready("a", world.Update("a", 1000));
  world.End(upload, absl::OkStatus(), world.total());
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.reports[0].round.outcomes(0).weight(), 2);
}

TEST(Faults, AWholeUpdateCountsAlthoughItsClientDies) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  world.Join("b");
  world.Answer("a");
  world.Break("a");
  Pass(world, absl::Seconds(20), {"b"});
  world.Answer("b");
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.folded[0].size(), 2u);
}

TEST(Faults, ALostClientsPlaceIsKeptUntilItComesBack) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  world.Join("b");
  world.Break("a");
  Pass(world, absl::Seconds(40), {"b"});
  world.Answer("b");
  EXPECT_TRUE(world.Said("a is lost: silent for 15s"));
  EXPECT_TRUE(world.Said("a (lost)"));  // whom it waits for
  EXPECT_EQ(world.client("b").notices.size(), 0u);
  Pass(world, absl::Seconds(11), {"b"});
  EXPECT_EQ(world.client("b").notices.size(), 1u);
  EXPECT_FALSE(world.end);
  world.Restart("a");
  EXPECT_EQ(world.client("a").task->task().attempt(), 2);
  world.Answer("a");
  ASSERT_TRUE(world.end);

  RoundWorld undisturbed(SmallRun(2, 1));
  undisturbed.Join("a");
  undisturbed.Join("b");
  undisturbed.Answer("a");
  undisturbed.Answer("b");
  EXPECT_EQ(world.folded, undisturbed.folded);
}

TEST(Faults, ASilentClientIsToldAsItsLeaseEnds) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  Pass(world, absl::Seconds(30), {});
  EXPECT_EQ(world.client("a").session, 0u);
  EXPECT_TRUE(world.client("a").goodbye->retry());
  EXPECT_EQ(world.status->clients(), 0);
}

TEST(Faults, AnAnswerGivenTwiceCountsOnce) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  world.Join("b");
  world.Ready("a");
  world.Ready("a");
  EXPECT_EQ(world.client("a").grants, 1);
  world.Upload("a");
  world.client("a").verdict.reset();
  world.Ready("a");
  EXPECT_TRUE(world.client("a").verdict->accepted());
  const TransferId again = world.OpenUpload("a");
  EXPECT_EQ(world.refused[again].code(), absl::StatusCode::kAborted);
  world.Answer("b");
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.folded[0].size(), 2u);
}

TEST(Faults, WhoMissedTheEndOfItsTaskHearsItLater) {
  RoundWorld world(SmallRun(2, 2));
  world.Join("a");
  world.Join("b");
  const v1::UpdateReady first = world.Update("a");
  world.Answer("a");
  world.Break("a");
  world.Answer("b");
  EXPECT_TRUE(world.client("a").overs.empty());
  world.Join("a");
  ASSERT_EQ(world.client("a").overs.size(), 1u);
  EXPECT_TRUE(world.client("a").overs[0].counted());
  EXPECT_EQ(world.client("a").task->task().round(), 2);
  world.Ready("a", first);  // once more: it is told what became of it
  EXPECT_TRUE(world.client("a").verdict->accepted());
  EXPECT_TRUE(world.client("a").overs.back().counted());
}

TEST(Faults, ABadUpdateIsRefusedAndTheClientAskedAgainLater) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  world.Join("b");
  absl::Duration pause = absl::Seconds(1);
  for (int i = 0; i < 7; ++i) {
    v1::UpdateReady bad = world.Update("a", -1);
    world.Ready("a", bad);
    EXPECT_FALSE(world.client("a").verdict->accepted());
    EXPECT_THAT(world.client("a").verdict->reason(), HasSubstr("weight is -1"));
    EXPECT_FALSE(world.client("a").overs.back().counted());
    EXPECT_EQ(world.client("a").tasks, i + 1);
    Pass(world, pause - absl::Milliseconds(1), {"a", "b"});
    EXPECT_EQ(world.client("a").tasks, i + 1) << pause;
    Pass(world, absl::Milliseconds(2), {"a", "b"});
    EXPECT_EQ(world.client("a").tasks, i + 2) << pause;
    EXPECT_EQ(world.client("a").task->task().attempt(), i + 2);
    pause = std::min(2 * pause, absl::Seconds(30));
  }
  world.Answer("a");
  world.Answer("b");
  EXPECT_TRUE(world.end);
}

TEST(Faults, BadNumbersAreRefused) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  world.Join("b");
  world.Ready("a");
  const TransferId upload = world.OpenUpload("a");
  world.End(upload, absl::InvalidArgumentError("element 3 is NaN"), 8);
  EXPECT_FALSE(world.client("a").verdict->accepted());
  EXPECT_THAT(world.client("a").verdict->reason(), HasSubstr("NaN"));
  Pass(world, absl::Seconds(2), {"a", "b"});
  world.Answer("a");
  world.Answer("b");
  EXPECT_TRUE(world.end);
}

TEST(Faults, WrongChecksumsAreTriedAgainAFewTimes) {
  RoundWorld world(SmallRun(1, 1));
  world.Join("a");
  world.Ready("a");
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(world.client("a").grants, i + 1);
    EXPECT_EQ(world.client("a").overs.size(), 0u);
    world.End(world.OpenUpload("a"), absl::DataLossError("checksum"), i);
    Pass(world, absl::Seconds(3), {"a"});
  }
  EXPECT_EQ(world.client("a").grants, 4);
  EXPECT_THAT(world.client("a").overs.at(0).reason(), HasSubstr("checksum"));
}

TEST(Faults, AClientThatFailsIsReplacedByAnother) {
  v1::RunConfig config = SmallRun(3, 1);
  config.mutable_cohort()->set_min(3);
  config.mutable_cohort()->set_max(2);
  // Somebody is left over in whatever is drawn.
  RoundWorld world(config);
  for (const std::string name : {"a", "b", "c"}) world.Join(name);
  std::vector<std::string> drawn, left;
  for (const std::string name : {"a", "b", "c"}) {
    (world.client(name).tasks ? drawn : left).push_back(name);
  }
  ASSERT_EQ(drawn.size(), 2u);
  world.Fail(drawn[0], "disk full\n");
  EXPECT_EQ(world.client(left[0]).tasks, 1);
  world.Advance(absl::Seconds(5));
  EXPECT_EQ(world.client(drawn[0]).tasks, 1);  // is not asked again
  world.Answer(drawn[1]);
  world.Answer(left[0]);
  ASSERT_TRUE(world.end);
  EXPECT_THAT(world.folded[0], ElementsAre(drawn[1], left[0]));
  EXPECT_EQ(world.Outcomes()[drawn[0]], "the client failed: disk full\\n");
}

TEST(Faults, LeavingFreesTheSlotAtOnce) {
  v1::RunConfig config = SmallRun(2, 1);
  config.mutable_cohort()->set_quorum(0.5);
  RoundWorld world(config);
  world.Join("a");
  world.Join("b");
  v1::ClientMessage leave;
  leave.mutable_leave()->set_reason("done for today");
  world.Say("a", leave);
  EXPECT_EQ(world.client("a").session, 0u);
  world.Answer("b");
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.Outcomes()["a"], "left: done for today");
}

TEST(Faults, AForgedTokenMovesNothing) {
  RoundWorld world(SmallRun(2, 1));
  world.Join("a");
  world.Join("b");
  world.Ready("a");
  world.client("a").welcome->set_token(world.client("b").welcome->token());
  EXPECT_EQ(world.refused[world.OpenUpload("a")].code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(world.refused[world.OpenDownload("a")].code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(world.refused[world.OpenUpload("nobody")].code(),
            absl::StatusCode::kPermissionDenied);
}

TEST(Faults, ADownloadBeyondTheEndIsRefused) {
  RoundWorld world(SmallRun(1, 1));
  world.Join("a");
  EXPECT_EQ(world.refused[world.OpenDownload("a", 49)].code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(world.runs(world.OpenDownload("a", 48)));
}

TEST(Faults, ReadersOfTheOldModelAreCancelledBeforeANewOneIsMade) {
  v1::RunConfig config = SmallRun(2, 2);
  config.mutable_cohort()->set_min(2);
  config.mutable_cohort()->set_max(1);
  config.mutable_cohort()->set_over_selection(1);
  RoundWorld world(config);
  world.Join("a");
  world.Join("b");
  const TransferId reader = world.OpenDownload("a");
  world.Answer("b");
  EXPECT_FALSE(world.runs(reader));
  EXPECT_EQ(world.folded.size(), 1u);
}

}  // namespace
}  // namespace parley
