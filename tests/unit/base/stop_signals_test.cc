#include "common/base/stop_signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

namespace parley {
namespace {

TEST(StopSignalsTest, TellsTheSignal) {
  StopSignals signals;
  kill(getpid(), SIGTERM);
  EXPECT_EQ(signals.Wait(), SIGTERM);
  kill(getpid(), SIGINT);
  EXPECT_EQ(signals.Wait(), SIGINT);
}

TEST(StopSignalsTest, WakeEndsTheWait) {
  StopSignals signals;
  signals.Wake();
  EXPECT_EQ(signals.Wait(), 0);
  std::thread waker([&signals] { signals.Wake(); });
  EXPECT_EQ(signals.Wait(), 0);
  waker.join();
}

TEST(StopSignalsTest, TimesOut) {
  StopSignals signals;
  EXPECT_EQ(signals.Wait(absl::Milliseconds(5)), 0);
  EXPECT_EQ(signals.Wait(absl::ZeroDuration()), 0);
}

}  // namespace
}  // namespace parley
