#include "server/run/work_lane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/virtual_clock.h"
#include "tests/unit/driver/fake_client.h"

namespace parley {
namespace {

using ::testing::ElementsAre;

TEST(WorkLaneTest, JobsAndWhatTheyTellKeepTheirOrder) {
  constexpr int kJobs = 2000;
  ThreadPool control(2), work(2);
  std::vector<int> jobs, told;  // on the lane; on `home`
  Mutex mu;
  CondVar changed;
  bool all = false;
  auto home = std::make_unique<Sequence>(&control);
  WorkLane lane(home.get(), &control, &work);
  const auto run = [&](int i, Closure more) {
    lane.Run([&jobs, i] { jobs.push_back(i); },
             [&told, i, more = std::move(more)]() mutable {
               told.push_back(i);
               if (more) std::move(more)();
             });
  };
  home->Post([&] {
    for (int i = 0; i < kJobs; ++i) {
      if (i != kJobs / 2) {
        run(i, nullptr);
        continue;
      }
      // What is told may bring another job, which is the last one.
      run(i, [&] {
        run(kJobs, [&] {
          MutexLock lock(mu);
          all = true;
          changed.SignalAll();
        });
      });
    }
  });
  {
    MutexLock lock(mu);
    while (!all) changed.Wait(mu);
  }
  lane.Close();
  home.reset();
  ASSERT_EQ(jobs.size(), kJobs + 1);
  EXPECT_EQ(told, jobs);
  EXPECT_TRUE(std::is_sorted(jobs.begin(), jobs.end()));
}

TEST(WorkLaneTest, AJobMayBeginBeforeTheOneBeforeItHasTold) {
  ManualExecutor control, work;
  Sequence home(&control);
  WorkLane lane(&home, &control, &work);
  std::vector<std::string> order;
  home.Post([&] {
    lane.Run([] {}, [] {});  // while it is under way the others wait
    for (const char* name : {"a", "b"}) {
      lane.Run(
          [&order, name] { order.push_back(name); },
          [&order, name] { order.push_back(std::string(name) + " told"); });
    }
  });
  for (int i = 0; i < 3; ++i) {
    control.RunAll();
    work.RunAll();
  }
  EXPECT_THAT(order, ElementsAre("a", "b", "a told", "b told"));
}

TEST(WorkLaneTest, WhatIsClosedTellsNothing) {
  ManualExecutor control, work;
  const auto held = std::make_shared<int>();
  bool told = false;
  Sequence home(&control);
  {
    WorkLane lane(&home, &control, &work);
    home.Post([&] { lane.Run([held] {}, [&told, held] { told = true; }); });
    control.RunAll();
    work.RunAll();
    control.RunAll();
    EXPECT_TRUE(told);
    told = false;
    lane.Close();
    home.Post([&] { lane.Run([held] {}, [&told, held] { told = true; }); });
    control.RunAll();
    work.RunAll();
    control.RunAll();
  }
  EXPECT_FALSE(told);
  EXPECT_EQ(held.use_count(), 1);
}

TEST(SequenceTimerTest, TheLatestClosureAloneRuns) {
  ManualExecutor control;
  VirtualClock clock;
  Sequence home(&control);
  std::vector<std::string> ran;
  SequenceTimer timer(&clock, &home);
  const auto set = [&](absl::Duration after, const char* name) {
    timer.Set(clock.Now() + after, [&ran, name] { ran.push_back(name); });
  };
  set(absl::Seconds(1), "replaced");
  set(absl::Seconds(2), "first");
  EXPECT_TRUE(timer.pending());
  clock.Advance(absl::Seconds(3));
  control.RunAll();
  EXPECT_FALSE(timer.pending());
  // One that is on its way already, when it is replaced or cancelled.
  set(absl::Seconds(1), "late");
  clock.Advance(absl::Seconds(1));
  set(absl::Seconds(1), "second");
  control.RunAll();
  clock.Advance(absl::Seconds(1));
  control.RunAll();
  set(absl::Seconds(1), "cancelled");
  clock.Advance(absl::Seconds(1));
  timer.Cancel();
  control.RunAll();
  EXPECT_FALSE(timer.pending());
  EXPECT_THAT(ran, ElementsAre("first", "second"));
  set(absl::Seconds(1), "closed");
  timer.Close();
  EXPECT_EQ(clock.timers(), 0u);
}

}  // namespace
}  // namespace parley
