#include "common/topology/cost_model.h"

#include <gtest/gtest.h>

namespace parley {
namespace {

// 100 MB at 1 Gb/s with 20 ms: 0.8 s for one model.
TEST(CostModel, IsTheFormulas) {
  const LinkCost link = {.bytes_per_second = 1.25e8, .latency_seconds = 0.02};
  EXPECT_DOUBLE_EQ(GossipSeconds(1, 1e8, link), 0.82);
  EXPECT_DOUBLE_EQ(GossipSeconds(4, 1e8, link), 3.22);
  EXPECT_DOUBLE_EQ(RingAllReduceSeconds(2, 1e8, link), 0.8 + 0.04);
  EXPECT_DOUBLE_EQ(RingAllReduceSeconds(16, 1e8, link), 1.5 + 0.6);
  EXPECT_EQ(RingAllReduceSeconds(1, 1e8, link), 0);
  EXPECT_EQ(GossipSeconds(0, 1e8, link), 0);
}

}  // namespace
}  // namespace parley
