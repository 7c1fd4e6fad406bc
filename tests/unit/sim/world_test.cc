#include "tools/sim/world.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"

namespace parley {
namespace {

absl::Time At(double seconds) {
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

TEST(World, RunsEventsInOrderOfVirtualTimeAndPosting) {
  ThreadPool pool(2);
  World world(&pool);
  std::vector<std::string> log;
  world.RunAt(At(2), [&] { log.push_back("two"); });
  world.RunAt(At(1), [&] {
    log.push_back("one");
    world.control()->Post([&] { log.push_back("one, later"); });
    world.RunAt(At(0), [&] { log.push_back("the past is now"); });
  });
  EXPECT_TRUE(world.Run([&] { return log.size() == 4; }));
  EXPECT_EQ(log, (std::vector<std::string>{"one", "one, later",
                                           "the past is now", "two"}));
  EXPECT_EQ(world.Now(), At(2));
}

TEST(World, SaysWhenItIsStuck) {
  ThreadPool pool(1);
  World world(&pool);
  EXPECT_FALSE(world.Run([] { return false; }));
}

TEST(World, ACancelledTimerDoesNotRun) {
  ThreadPool pool(1);
  World world(&pool);
  bool ran = false;
  const TimerId id = world.RunAt(At(1), [&] { ran = true; });
  world.control()->Post([&] { world.Cancel(id); });
  EXPECT_FALSE(world.Run([] { return false; }));
  EXPECT_FALSE(ran);
}

TEST(World, WorkTakesTheVirtualTimeThatItSays) {
  ThreadPool pool(2);
  World world(&pool);
  absl::Time short_end, long_end;
  world.work()->Post([&] {
    world.Spend(absl::Seconds(3));
    world.control()->Post([&] { long_end = world.Now(); });
  });
  world.work()->Post(
      [&] { world.control()->Post([&] { short_end = world.Now(); }); });
  world.Run([] { return false; });
  EXPECT_EQ(long_end, At(3));
  EXPECT_EQ(short_end, absl::UnixEpoch() + World::kMinWork);
}

TEST(World, WorkRunsAtTheSameTimeOnSeveralThreads) {
  ThreadPool pool(2);
  World world(&pool);
  std::atomic<int> here = 0;
  int ended = 0;
  for (int i = 0; i < 2; ++i) {
    world.work()->Post([&] {
      // Each waits for the other: one after another they would never end.
      ++here;
      here.notify_all();
      for (int seen; (seen = here) < 2;) here.wait(seen);
      world.control()->Post([&] { ++ended; });
    });
  }
  EXPECT_TRUE(world.Run([&] { return ended == 2; }));
}

// Jobs of random lengths that start further jobs: what happens, and when, is
// the same with any number of threads.
std::vector<std::string> History(int threads) {
  ThreadPool pool(threads);
  World world(&pool);
  std::vector<std::string> log;
  std::function<void(std::string, int)> start = [&](std::string name,
                                                    int depth) {
    world.work()->Post([&, name, depth] {
      Rng rng(1, name, depth, "length");
      volatile double sink = 0;
      for (uint64_t n = rng.Below(20000); n > 0; --n) sink = sink + 1;
      world.Spend(absl::Microseconds(rng.Below(3000)));
      world.control()->Post([&, name, depth] {
        log.push_back(absl::StrCat(name, "@", absl::FormatTime(world.Now())));
        if (depth == 0) return;
        start(name + "a", depth - 1);
        start(name + "b", depth - 1);
      });
    });
  };
  start("r", 7);
  world.Run([] { return false; });
  return log;
}

TEST(World, HistoryDoesNotDependOnTheNumberOfThreads) {
  const auto one = History(1);
  EXPECT_EQ(one.size(), 255u);
  for (int threads : {2, 5}) EXPECT_EQ(History(threads), one);
}

// The work waits for the poll: without one it would never end.
TEST(World, IsPolledWhileItWaitsForWork) {
  ThreadPool pool(1);
  World world(&pool);
  std::vector<std::string> log;
  std::atomic<bool> begun = false, asked_to_end = false;
  bool over = false;
  world.set_poll([&] {
    if (!begun || asked_to_end) return;
    world.control()->Post([&] { log.push_back("posted by the poll"); });
    asked_to_end = true;
    asked_to_end.notify_all();
  });
  world.work()->Post([&] {
    begun = true;
    asked_to_end.wait(false);
    world.control()->Post([&] {
      log.push_back("the end of the work");
      over = true;
    });
  });
  EXPECT_TRUE(world.Run([&] { return over; }));
  EXPECT_EQ(log, (std::vector<std::string>{"posted by the poll",
                                           "the end of the work"}));
}

}  // namespace
}  // namespace parley
