#include "server/round/loss_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace parley {
namespace {

using ::testing::HasSubstr;

// The round at which it warns after losses of 1 and then, for ever, `loss`.
int64_t WarnsAt(double loss, LossWatch* watch) {
  for (int64_t round = 1; round <= 30; ++round) {
    RoundReport report;
    report.round = round;
    report.train_loss = round == 1 ? 1 : loss;
    const auto warning = watch->Take(report);
    if (!warning) continue;
    EXPECT_THAT(*warning, HasSubstr("a smaller step size may help"));
    return round;
  }
  return 0;
}

TEST(LossWatchTest, WarnsOnceOfALossThatStaysFarAboveTheFirst) {
  LossWatch watch;
  EXPECT_EQ(WarnsAt(2.5, &watch), 11);
  EXPECT_EQ(WarnsAt(2.5, &watch), 0);
  LossWatch not_finite;
  EXPECT_EQ(WarnsAt(std::numeric_limits<double>::quiet_NaN(), &not_finite), 11);
}

TEST(LossWatchTest, IsSilentOfNoise) {
  LossWatch low;
  EXPECT_EQ(WarnsAt(1.9, &low), 0);
  LossWatch watch;
  for (int64_t round = 1; round <= 100; ++round) {
    RoundReport report;
    report.round = round;
    report.train_loss = round % 10 == 1 ? 1 : 5;
    EXPECT_FALSE(watch.Take(report)) << round;
  }
}

}  // namespace
}  // namespace parley
