#include "server/run/status_board.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

namespace parley {
namespace {

TEST(StatusBoard, AfterRemoveNothingIsHeard) {
  StatusBoard board;
  std::atomic<bool> stop = false;
  std::thread teller([&] {
    while (!stop) board.TellAll({});
  });
  for (int i = 0; i < 20; ++i) {
    auto alive = std::make_unique<std::atomic<int>>(0);
    const uint64_t id =
        board.Add([calls = alive.get()](const v1::RunStatus&) { ++*calls; });
    while (*alive == 0) std::this_thread::yield();
    board.Remove(id);
    alive.reset();  // a later call would be caught by a sanitizer
  }
  stop = true;
  teller.join();
  EXPECT_TRUE(board.empty());
}

TEST(StatusBoard, AWatcherMayRemoveItself) {
  StatusBoard board;
  uint64_t id = 0;
  int calls = 0;
  id = board.Add([&](const v1::RunStatus&) {
    ++calls;
    board.Remove(id);
  });
  board.TellAll({});
  board.TellAll({});
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace parley
