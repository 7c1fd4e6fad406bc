#include "common/base/wake_timer.h"

#include <gtest/gtest.h>

#include "tests/support/manual_executor.h"
#include "tests/support/virtual_clock.h"

namespace parley {
namespace {

class WakeTimerTest : public testing::Test {
 protected:
  ~WakeTimerTest() override { executor_.RunAll(); }

  void Pass(absl::Duration d) {
    clock_.Advance(d);
    executor_.RunAll();
  }
  absl::Time In(int seconds) { return clock_.Now() + absl::Seconds(seconds); }

  VirtualClock clock_;
  ManualExecutor executor_;
  Sequence home_{&executor_};
  int wakes_ = 0;
  WakeTimer timer_{&clock_, &home_, [this] { ++wakes_; }};
};

TEST_F(WakeTimerTest, WakesOnItsSequence) {
  timer_.SetBy(In(2));
  Pass(absl::Seconds(1));
  EXPECT_EQ(wakes_, 0);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(wakes_, 0);  // not on the clock's thread
  executor_.RunAll();
  EXPECT_EQ(wakes_, 1);
  Pass(absl::Hours(1));
  EXPECT_EQ(wakes_, 1);
}

TEST_F(WakeTimerTest, AnEarlierOneReplacesALaterOneAndStays) {
  timer_.SetBy(In(5));
  timer_.SetBy(In(2));
  timer_.SetBy(In(4));
  timer_.SetBy(absl::InfiniteFuture());
  EXPECT_EQ(clock_.timers(), 1);
  Pass(absl::Seconds(2));
  EXPECT_EQ(wakes_, 1);
  EXPECT_EQ(clock_.timers(), 0);
  timer_.SetBy(In(3));
  Pass(absl::Seconds(3));
  EXPECT_EQ(wakes_, 2);
}

TEST_F(WakeTimerTest, IsSetAnewWhileAnEarlierWakeIsOnItsWay) {
  timer_.SetBy(In(1));
  clock_.Advance(absl::Seconds(1));  // posted, not yet run
  timer_.SetBy(clock_.Now() - absl::Seconds(1));
  EXPECT_EQ(clock_.timers(), 1);
  Pass(absl::ZeroDuration());
  EXPECT_EQ(wakes_, 2);
  timer_.SetBy(In(1));
  EXPECT_EQ(clock_.timers(), 1);
}

TEST_F(WakeTimerTest, CancelTakesItBack) {
  timer_.SetBy(absl::InfiniteFuture());
  timer_.Cancel();
  timer_.SetBy(In(1));
  timer_.Cancel();
  EXPECT_EQ(clock_.timers(), 0);
  Pass(absl::Hours(1));
  EXPECT_EQ(wakes_, 0);
}

}  // namespace
}  // namespace parley
