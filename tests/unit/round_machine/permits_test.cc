// Whose turn it is to move numbers, and room in the staging area.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/round_machine/round_world.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Six clients, two permits each way; `order` is the cohort's.
class Permits : public ::testing::Test {
 protected:
  Permits() : world(Config()) {
    for (char c = 'a'; c <= 'f'; ++c) world.Join(std::string(1, c));
    for (const auto& m : world.records[0].round_opened().cohort()) {
      order.push_back(m.client());
    }
  }
  static v1::RunConfig Config() {
    v1::RunConfig config = SmallRun(6, 1);
    config.mutable_limits()->set_lease_seconds(1000);
    return config;
  }
  int grants(int i) { return world.client(order[i]).grants; }

  RoundWorld world;
  std::vector<std::string> order;
};

TEST_F(Permits, UploadsAreGrantedToTheLowestSlotFirst) {
  for (int i = 5; i >= 0; --i) world.Ready(order[i]);
  EXPECT_THAT((std::vector{grants(5), grants(4), grants(3), grants(0)}),
              ElementsAre(1, 1, 0, 0));
  world.Upload(order[5]);
  EXPECT_EQ(grants(0), 1);  // goes before those who were ready earlier
  EXPECT_EQ(grants(1), 0);
  world.Upload(order[4]);
  EXPECT_EQ(grants(1), 1);
  for (int i = 0; i < 4; ++i) world.Upload(order[i]);
  EXPECT_TRUE(world.end);
}

TEST_F(Permits, WhoDoesNotTakeItsGrantGoesToTheEnd) {
  for (int i = 0; i < 4; ++i) world.Ready(order[i]);
  EXPECT_EQ(grants(2), 0);
  world.Advance(absl::Seconds(6));
  EXPECT_THAT((std::vector{grants(0), grants(2), grants(3)}),
              ElementsAre(1, 1, 1));
  // It may come late all the same, and then waits its turn.
  const TransferId late = world.OpenUpload(order[0]);
  EXPECT_FALSE(world.runs(late));
  world.Upload(order[2]);
  EXPECT_TRUE(world.runs(late));
}

TEST_F(Permits, WhoNeverTakesItsGrantFails) {
  world.Ready(order[0]);
  world.Advance(absl::Seconds(60));
  EXPECT_EQ(grants(0), 10);
  EXPECT_THAT(world.client(order[0]).overs.at(0).reason(),
              HasSubstr("brought nothing"));
}

TEST_F(Permits, ABrokenClientReturnsItsGrant) {
  for (int i = 0; i < 3; ++i) world.Ready(order[i]);
  EXPECT_EQ(grants(2), 0);
  world.Break(order[0]);
  EXPECT_EQ(grants(2), 1);
  world.Join(order[0]);
  EXPECT_EQ(grants(0), 1);
  world.Upload(order[2]);
  EXPECT_EQ(grants(0), 2);
}

TEST_F(Permits, WithoutAGrantNothingIsUploaded) {
  for (int i = 0; i < 3; ++i) world.Ready(order[i]);
  FakeClient& third = world.client(order[2]);
  third.grant = v1::GrantUpload();
  *third.grant->mutable_task() = third.task->task();
  EXPECT_EQ(world.refused[world.OpenUpload(order[2])].code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(Permits, DownloadsWaitForTheirTurn) {
  std::vector<TransferId> down(6);
  for (int i = 5; i >= 0; --i) down[i] = world.OpenDownload(order[i]);
  EXPECT_EQ(world.running(false), 2);
  world.End(down[5], absl::OkStatus());
  EXPECT_TRUE(world.runs(down[0]));
  EXPECT_FALSE(world.runs(down[1]));
  world.End(down[1], absl::CancelledError(""));  // before its turn
  world.End(down[4], absl::OkStatus());
  EXPECT_TRUE(world.runs(down[2]));
}

TEST_F(Permits, AnotherDownloadOfAClientTakesThePlaceOfItsFirst) {
  const TransferId first = world.OpenDownload(order[0]);
  const TransferId second = world.OpenDownload(order[0], 8);
  EXPECT_FALSE(world.runs(first));
  EXPECT_TRUE(world.runs(second));
  EXPECT_EQ(world.running(false), 1);
}

TEST_F(Permits, BreaksWithoutProgressAreTriedAgainAfterAPause) {
  world.Ready(order[0]);
  world.End(world.OpenUpload(order[0]), absl::UnavailableError("x"), 8);
  EXPECT_EQ(grants(0), 2);  // it got on
  EXPECT_EQ(world.client(order[0]).grant->offset(), 8u);
  world.End(world.OpenUpload(order[0]), absl::UnavailableError("x"), 8);
  EXPECT_EQ(grants(0), 2);
  world.Advance(absl::Seconds(1));
  EXPECT_EQ(grants(0), 3);
}

TEST_F(Permits, WithoutRoomOneWaitsForAFold) {
  for (int i : {0, 4, 5}) world.Ready(order[i]);
  const TransferId first = world.OpenUpload(order[0]);
  world.End(world.OpenUpload(order[4]), absl::ResourceExhaustedError("full"));
  EXPECT_EQ(grants(4), 1);
  world.Upload(order[5]);
  world.Advance(absl::Seconds(100));
  EXPECT_EQ(grants(4), 1);
  world.End(first, absl::OkStatus(), world.total());  // is folded at once
  EXPECT_EQ(grants(4), 2);
  world.Upload(order[4]);
  for (int i = 1; i < 4; ++i) world.Answer(order[i]);
  EXPECT_TRUE(world.end);
}

TEST_F(Permits, TheFirstInLineGetsTheRoomOfTheLast) {
  world.Answer(order[3]);
  world.Answer(order[5]);
  world.Ready(order[0]);
  world.End(world.OpenUpload(order[0]), absl::ResourceExhaustedError("full"));
  EXPECT_EQ(grants(0), 2);  // the update of 5 was dropped
  world.Upload(order[0]);
  EXPECT_EQ(grants(5), 2);  // and is sent once more
  EXPECT_EQ(world.client(order[5]).grant->offset(), 0u);
  world.Upload(order[5]);
  for (int i : {1, 2, 4}) world.Answer(order[i]);
  ASSERT_TRUE(world.end);
  EXPECT_EQ(world.folded[0], order);
}

TEST_F(Permits, WhatCannotFitAtAllIsRefused) {
  world.Ready(order[0]);
  world.End(world.OpenUpload(order[0]), absl::ResourceExhaustedError("full"));
  EXPECT_THAT(world.client(order[0]).overs.at(0).reason(),
              HasSubstr("limits.staging_bytes"));
}

}  // namespace
}  // namespace parley
