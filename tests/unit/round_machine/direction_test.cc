// diagnostics.direction_gap in the round machine: when it is asked for, and
// what becomes of the answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "server/round/measured_rounds.h"
#include "tests/unit/round_machine/round_world.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(MeasuredRounds, AreAllAtFirstAndThenSoManyInAFactorOfTen) {
  for (const int per_decade : {1, 2, 3, 7, 20, 1000}) {
    // By the definition, mark by mark.
    std::set<int64_t> expected;
    for (int j = 0; j <= 5 * per_decade; ++j) {
      const double mark = std::pow(10, static_cast<double>(j) / per_decade);
      const double whole = std::round(mark);
      expected.insert(static_cast<int64_t>(
          std::abs(mark - whole) < 1e-9 * mark ? whole : std::ceil(mark)));
    }
    for (int64_t round = 1; round <= 100000; ++round) {
      ASSERT_EQ(IsMeasured(round, per_decade), expected.contains(round))
          << round << " of " << per_decade << " in a decade";
    }
  }
  for (int64_t round = 1; round <= 9; ++round) {
    EXPECT_TRUE(IsMeasured(round, 20)) << round;
  }
  for (int64_t power = 1; power <= 1'000'000'000; power *= 10) {
    EXPECT_TRUE(IsMeasured(power, 3)) << power;
  }
}

v1::RunConfig Measured(int rounds) {
  v1::RunConfig config = SmallRun(2, rounds);
  config.mutable_diagnostics()->mutable_direction_gap()->set_per_decade(1);
  return config;
}

void RunRound(RoundWorld& world) {
  world.Answer("a");
  world.Answer("b");
}

TEST(DirectionRounds, NoRoundOpensBeforeThereIsAReference) {
  RoundWorld world(Measured(2));
  EXPECT_TRUE(world.prepares);
  world.Join("a");
  world.Join("b");
  EXPECT_FALSE(world.client("a").task.has_value());
  EXPECT_THAT(world.status->detail(), HasSubstr("direction_gap"));
  world.Advance(absl::Seconds(11));
  EXPECT_TRUE(world.Said("direction_gap"));
  world.Step(event::DirectionPrepared{});
  EXPECT_TRUE(world.client("a").task.has_value());
}

TEST(DirectionRounds, AReferenceThatCannotBeFoundEndsTheRun) {
  RoundWorld world(Measured(2));
  world.Join("a");
  world.Step(event::DirectionPrepared{
      absl::InvalidArgumentError("row 3 is not finite")});
  ASSERT_TRUE(world.end.has_value());
  EXPECT_EQ(world.end->state, v1::FAILED);
  EXPECT_THAT(world.end->reason, HasSubstr("row 3 is not finite"));
}

TEST(DirectionRounds, AStopDoesNotWaitForTheReference) {
  RoundWorld world(Measured(2));
  world.Join("a");
  world.Step(event::StopRequested{"enough"});
  ASSERT_TRUE(world.end.has_value());
  EXPECT_EQ(world.end->state, v1::STOPPED);
  world.Step(event::DirectionPrepared{absl::CancelledError("late")});
  EXPECT_EQ(world.end->reason, "enough");
}

TEST(DirectionRounds, ChosenRoundsAndTheLastAreMeasuredAndRecorded) {
  RoundWorld world(Measured(12));
  std::vector<int64_t> asked;
  world.direction = [&](int64_t round) {
    asked.push_back(round);
    return std::map<std::string, double>{{"gap", 1.0 / round}};
  };
  world.Step(event::DirectionPrepared{});
  world.Join("a");
  world.Join("b");
  for (int round = 1; round <= 12; ++round) RunRound(world);
  ASSERT_TRUE(world.end.has_value());
  EXPECT_EQ(world.end->state, v1::FINISHED);
  EXPECT_THAT(asked, ElementsAre(1, 10, 12));
  ASSERT_EQ(world.reports.size(), 12u);
  for (const effect::ReportRound& report : world.reports) {
    const int64_t round = report.round.round();
    if (round == 1 || round == 10 || round == 12) {
      EXPECT_EQ(report.round.direction().at("gap"), 1.0 / round);
    } else {
      EXPECT_THAT(report.round.direction(), IsEmpty());
    }
  }
  for (const v1::JournalRecord& record : world.records) {
    if (!record.has_round_committed()) continue;
    const v1::RoundCommitted& round = record.round_committed();
    EXPECT_EQ(round.direction_size(),
              IsMeasured(round.round(), 1) || round.round() == 12 ? 1 : 0);
  }
}

TEST(DirectionRounds, ARoundWaitsForItsNumbersAndAStopDoesNot) {
  RoundWorld world(Measured(5));
  world.Step(event::DirectionPrepared{});
  world.Join("a");
  world.Join("b");
  RunRound(world);
  EXPECT_THAT(world.reports, IsEmpty());  // MeasureDirection is under way
  world.Step(event::StopRequested{"enough"});
  ASSERT_EQ(world.reports.size(), 1u);  // the model is whole: it is committed
  EXPECT_THAT(world.reports[0].round.direction(), IsEmpty());
  EXPECT_EQ(world.end->state, v1::STOPPED);
  world.Step(event::DirectionMeasured{absl::CancelledError("late")});
  EXPECT_EQ(world.end->reason, "enough");
}

TEST(DirectionRounds, AMeasurementThatFailsEndsTheRun) {
  RoundWorld world(Measured(5));
  world.direction = [](int64_t) { return absl::InternalError("no numbers"); };
  world.Step(event::DirectionPrepared{});
  world.Join("a");
  world.Join("b");
  RunRound(world);
  ASSERT_TRUE(world.end.has_value());
  EXPECT_EQ(world.end->state, v1::FAILED);
  EXPECT_THAT(world.end->reason, HasSubstr("no numbers"));
}

TEST(DirectionRounds, AReplayMeasuresNothing) {
  v1::RoundOpened round;
  round.set_round(1);
  round.add_cohort()->set_client("a");
  RoundWorld world(Measured(1), {round});
  EXPECT_FALSE(world.prepares);
  world.Join("a");
  world.Answer("a");
  ASSERT_TRUE(world.end.has_value());
  EXPECT_EQ(world.end->state, v1::FINISHED);
  EXPECT_THAT(world.reports[0].round.direction(), IsEmpty());
}

}  // namespace
}  // namespace parley
