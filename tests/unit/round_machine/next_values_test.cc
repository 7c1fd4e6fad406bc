// The loss that the clients' steps are divided by: made from what they told.
#include "server/round/next_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/round_machine/round_world.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

v1::RunConfig Normalised(int clients, int rounds, bool uniform) {
  v1::RunConfig config = SmallRun(clients, rounds);
  config.mutable_local()->mutable_step_size()->mutable_loss_normalised();
  if (uniform) {
    config.mutable_aggregation()->mutable_uniform();
  } else {
    config.mutable_aggregation()->mutable_fed_avg();
  }
  return config;
}

void AnswerWith(RoundWorld& world, const std::string& name, double weight,
                double log_loss) {
  v1::UpdateReady update = world.Update(name, weight);
  (*update.mutable_scalars())["log_loss"] = log_loss;
  world.Ready(name, update);
  world.Upload(name);
}

double Told(RoundWorld& world, const std::string& name) {
  return world.client(name).task->values().at("log_loss");
}

TEST(NextValues, TheLossOfTheLastRoundScalesTheNext) {
  for (const bool uniform : {false, true}) {
    RoundWorld world(Normalised(2, 3, uniform));
    world.Join("a");
    world.Join("b");
    EXPECT_EQ(Told(world, "a"), 0);  // a loss of 1
    AnswerWith(world, "a", 3, std::log(0.2));
    AnswerWith(world, "b", 1, std::log(0.6));
    const double mean = uniform ? 0.4 : 0.3;
    for (const char* name : {"a", "b"}) {
      EXPECT_NEAR(std::exp(Told(world, name)), mean, 1e-15);
    }
    EXPECT_EQ(world.reports[0].round.next_values().at("log_loss"),
              Told(world, "a"));
    // Where no loss is a number that double has.
    AnswerWith(world, "a", 3, -1800);
    AnswerWith(world, "b", 1, -1800 + std::log(3));
    EXPECT_NEAR(Told(world, "a"), -1800 + std::log(uniform ? 2 : (3.0 + 3) / 4),
                1e-12);
  }
}

TEST(NextValues, WhoDoesNotTellItIsRefused) {
  RoundWorld world(Normalised(1, 2, true));
  world.Join("a");
  world.Ready("a");
  EXPECT_FALSE(world.client("a").verdict->accepted());
  EXPECT_THAT(world.client("a").verdict->reason(),
              HasSubstr("'log_loss' is missing"));
}

TEST(NextValues, StayWhereARoundIsSkipped) {
  v1::RunConfig config = Normalised(1, 4, true);
  config.mutable_cohort()->set_too_few(v1::Cohort::SKIP);
  RoundWorld world(config);
  world.Join("a");
  AnswerWith(world, "a", 1, -5);
  EXPECT_EQ(Told(world, "a"), -5);
  world.Fail("a", "x");
  world.Advance(absl::Seconds(60));  // until it may be asked again
  EXPECT_EQ(world.client("a").task->task().round(), 3);
  EXPECT_EQ(Told(world, "a"), -5);
}

TEST(NextValues, AreTakenUpWithTheRun) {
  RoundWorld world(Normalised(1, 9, true), {}, 4, {{"log_loss", -7.5}});
  world.Join("a");
  EXPECT_EQ(world.client("a").task->task().round(), 5);
  EXPECT_EQ(Told(world, "a"), -7.5);
}

TEST(NextValues, OtherRunsHaveNone) {
  RoundWorld world(SmallRun(1, 2));
  world.Join("a");
  EXPECT_TRUE(world.client("a").task->values().empty());
  AnswerWith(world, "a", 1, -5);
  EXPECT_TRUE(world.client("a").task->values().empty());
  EXPECT_TRUE(world.reports[0].round.next_values().empty());
}

}  // namespace
}  // namespace parley
