#include "server/http/live_runs.h"

#include <thread>

#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using SteadyClock = std::chrono::steady_clock;

v1::RunStatus Status(const std::string& run, int64_t round) {
  v1::RunStatus status;
  status.set_run(run);
  status.set_round(round);
  return status;
}

TEST(LiveRunsTest, KeepsTheLatestOfEachInOrderOfTheFirst) {
  LiveRuns runs;
  EXPECT_TRUE(runs.Runs().empty());
  runs.Tell(Status("b", 1));
  runs.Tell(Status("a", 7));
  runs.Tell(Status("b", 2));
  const std::vector<v1::RunStatus> told = runs.Runs();
  ASSERT_EQ(told.size(), 2);
  EXPECT_EQ(told[0].run(), "b");
  EXPECT_EQ(told[0].round(), 2);
  EXPECT_EQ(told[1].run(), "a");
}

TEST(LiveRunsTest, WaitsForAChange) {
  LiveRuns runs;
  const auto late = SteadyClock::now() + std::chrono::minutes(1);
  const uint64_t first = runs.AwaitChange(0, late);
  EXPECT_NE(first, 0);
  // Nothing comes: only the deadline ends it.
  EXPECT_EQ(runs.AwaitChange(first, SteadyClock::now()), first);
  std::thread teller([&] { runs.Tell(Status("a", 1)); });
  const uint64_t second = runs.AwaitChange(first, late);
  EXPECT_NE(second, first);
  teller.join();
  // What was told before the call counts, too.
  EXPECT_EQ(runs.AwaitChange(first, late), second);
}

}  // namespace
}  // namespace parley
