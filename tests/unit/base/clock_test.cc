#include "common/base/clock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "common/base/mutex.h"

namespace parley {
namespace {

TEST(RealClock, RunsTimersInOrderOfTime) {
  auto clock = MakeRealClock();
  Mutex mu;
  CondVar changed;
  std::vector<int> order;
  const absl::Time now = clock->Now();
  const auto add = [&](int i) {
    MutexLock lock(mu);
    order.push_back(i);
    changed.SignalAll();
  };
  clock->RunAt(now + absl::Milliseconds(40), [&] { add(2); });
  clock->RunAt(now + absl::Milliseconds(5), [&] { add(1); });
  clock->RunAt(now - absl::Seconds(1), [&] { add(0); });
  MutexLock lock(mu);
  while (order.size() < 3) changed.Wait(mu);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
  EXPECT_GE(clock->Now(), now + absl::Milliseconds(40));
}

TEST(RealClock, CancelWaitsForARunningTimer) {
  auto clock = MakeRealClock();
  std::atomic<bool> started = false, release = false, finished = false;
  const TimerId id = clock->RunAt(clock->Now(), [&] {
    started = true;
    started.notify_all();
    release.wait(false);
    finished = true;
  });
  started.wait(false);
  std::thread other([&] {
    release = true;
    release.notify_all();
  });
  clock->Cancel(id);
  EXPECT_TRUE(finished);
  other.join();
}

TEST(RealClock, ACancelledTimerDoesNotRun) {
  auto clock = MakeRealClock();
  std::atomic<bool> ran = false, later = false;
  clock->Cancel(
      clock->RunAt(clock->Now() + absl::Milliseconds(10), [&] { ran = true; }));
  clock->RunAt(clock->Now() + absl::Milliseconds(20), [&] {
    later = true;
    later.notify_all();
  });
  later.wait(false);
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace parley
