#include "common/base/lifetime.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace parley {
namespace {

TEST(LifetimeTest, WhatWasNotStartedOrIsOverIsNotStopped) {
  Lifetime lifetime;
  lifetime.AwaitEnd([] { ADD_FAILURE() << "it was not started"; });
  lifetime.Start();
  lifetime.End();
  lifetime.AwaitEnd([] { ADD_FAILURE() << "it is over"; });
}

TEST(LifetimeTest, StopsWhatGoesOnAndWaitsForItsEnd) {
  Lifetime lifetime;
  lifetime.Start();
  std::atomic<bool> asked = false, ended = false;
  std::thread work([&] {
    asked.wait(false);
    ended = true;
    lifetime.End();
  });
  lifetime.AwaitEnd([&] {
    asked = true;
    asked.notify_all();
  });
  EXPECT_TRUE(ended);
  work.join();
}

TEST(LifetimeTest, StopMayEndItAtOnce) {
  Lifetime lifetime;
  lifetime.Start();
  int stops = 0;
  lifetime.AwaitEnd([&] {
    ++stops;
    lifetime.End();
  });
  EXPECT_EQ(stops, 1);
}

}  // namespace
}  // namespace parley
