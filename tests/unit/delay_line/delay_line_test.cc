#include "tests/support/delay_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace parley {
namespace {

constexpr absl::Duration kDelay = absl::Milliseconds(20);

TEST(DelayLineTest, GivesEachPacketBackOnceItIsOldEnough) {
  const absl::Time start = absl::UnixEpoch();
  DelayLine line(kDelay, 100);
  EXPECT_EQ(line.next(), absl::InfiniteFuture());
  EXPECT_TRUE(line.Push(3, "first", start));
  EXPECT_TRUE(line.Push(1, "second", start + absl::Milliseconds(5)));
  EXPECT_EQ(line.next(), start + kDelay);
  EXPECT_FALSE(line.Pop(start + kDelay - absl::Nanoseconds(1)));
  const auto first = line.Pop(start + kDelay);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->to, 3);
  EXPECT_EQ(first->bytes, "first");
  EXPECT_EQ(first->due, start + kDelay);
  EXPECT_FALSE(line.Pop(start + kDelay));
  const auto second = line.Pop(start + absl::Seconds(1));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->to, 1);
  EXPECT_EQ(second->bytes, "second");
  EXPECT_EQ(second->due, start + kDelay + absl::Milliseconds(5));
  EXPECT_EQ(line.next(), absl::InfiniteFuture());
}

TEST(DelayLineTest, LosesTheNewestOfTooMany) {
  const absl::Time start = absl::UnixEpoch();
  DelayLine line(kDelay, 10);
  EXPECT_TRUE(line.Push(0, "0123456", start));
  EXPECT_FALSE(line.Push(0, "0123", start));
  EXPECT_TRUE(line.Push(0, "012", start));
  EXPECT_EQ(line.Pop(start + kDelay)->bytes, "0123456");
  EXPECT_TRUE(line.Push(0, "0123456", start + kDelay));  // there is room again
}

}  // namespace
}  // namespace parley
