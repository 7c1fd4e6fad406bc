// The hash of a schedule differs when anything that it is made from does.
#include <functional>
#include <set>

#include "tests/unit/topology/matrix.h"

namespace parley {
namespace {

TEST(ScheduleHash, DiffersWithEachFieldOfKeyAndOptions) {
  const TopologyOptions options = {
      .kind = "erdos_renyi", .probability = 0.9, .edges = {}};
  std::set<uint64_t> seen;
  const auto expect_new = [&seen](const TopologyOptions& changed,
                                  const ScheduleKey& key) {
    ASSERT_OK_AND_ASSIGN(const auto schedule, Schedule::Create(changed, key));
    EXPECT_TRUE(seen.insert(schedule->hash()).second);
  };
  const ScheduleKey key = {.seed = 1, .epoch = 2, .peers = 8};
  expect_new(options, key);
  expect_new(options, {.seed = 2, .epoch = 2, .peers = 8});
  expect_new(options, {.seed = 1, .epoch = 3, .peers = 8});
  expect_new(options, {.seed = 1, .epoch = 2, .peers = 9});
  const std::function<void(TopologyOptions&)> kChanges[] = {
      [](TopologyOptions& o) { o.kind = "ring"; },
      [](TopologyOptions& o) { o.directed = true; },
      [](TopologyOptions& o) { o.rows = 2; },
      [](TopologyOptions& o) { o.degree = 4; },
      [](TopologyOptions& o) { o.probability = 0.91; },
      [](TopologyOptions& o) { o.neighbours = 2; },
      [](TopologyOptions& o) { o.rewire = 0.2; },
      [](TopologyOptions& o) {
        o.edges = {{0, 1}};
      },
      [](TopologyOptions& o) {
        o.edges = {{1, 0}};
      },
      [](TopologyOptions& o) { o.k = 2; },
      [](TopologyOptions& o) { o.lazy = true; },
  };
  for (const auto& change : kChanges) {
    TopologyOptions changed = options;
    change(changed);
    expect_new(changed, key);
  }
}

// Peers of other builds must come to the same number; this one is from another
// program.
TEST(ScheduleHash, StaysWhatItIs) {
  EXPECT_EQ(Make("ring", 8)->hash(), 6683407902704102035u);
}

}  // namespace
}  // namespace parley
