#include "common/base/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <vector>

namespace parley {
namespace {

TEST(ThreadPool, RunsAllThatWasPostedBeforeItEnds) {
  std::atomic<int> count = 0;
  {
    ThreadPool pool(3);
    for (int i = 0; i < 1000; ++i) pool.Post([&] { ++count; });
  }
  EXPECT_EQ(count, 1000);
}

TEST(Sequence, RunsOneAtATimeInOrder) {
  ThreadPool pool(4);
  std::vector<int> order;  // unguarded: TSan would object to an overlap
  {
    Sequence sequence(&pool);
    for (int i = 0; i < 1000; ++i) {
      sequence.Post([&order, i] { order.push_back(i); });
    }
  }
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[i], i);
}

TEST(ParallelFor, CoversEveryIndexOnce) {
  ThreadPool pool(4);
  for (int64_t n : {0, 1, 7, 64, 1000, 4097}) {
    for (int64_t grain : {1, 16, 5000}) {
      std::vector<std::atomic<int>> hits(n);
      ParallelFor(&pool, n, grain, [&](int64_t begin, int64_t end) {
        EXPECT_EQ(begin % grain, 0);
        for (int64_t i = begin; i < end; ++i) ++hits[i];
      });
      for (const auto& h : hits) EXPECT_EQ(h, 1);
    }
  }
}

TEST(ParallelFor, NestsWithoutDeadlock) {
  ThreadPool pool(2);
  std::atomic<int64_t> sum = 0;
  ParallelFor(&pool, 8, 1, [&](int64_t b, int64_t e) {
    ParallelFor(&pool, 100, 1,
                [&](int64_t b2, int64_t e2) { sum += (e - b) * (e2 - b2); });
  });
  EXPECT_EQ(sum, 800);
}

}  // namespace
}  // namespace parley
