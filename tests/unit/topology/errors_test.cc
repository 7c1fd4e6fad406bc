#include "common/topology/schedule.h"
#include "common/topology/topology.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using absl::StatusCode;

TEST(CheckTopology, SaysWhatIsAllowed) {
  struct {
    TopologyOptions options;
    int64_t peers;
    const char* text;
  } const kTable[] = {
      {{.kind = "rink"}, 8, "unknown topology 'rink'; known are ring, path"},
      {{.kind = "ring"}, 0, "ring has 1 to 16384 peers, not 0"},
      {{.kind = "ring"}, 16385, "ring has 1 to 16384 peers, not 16385"},
      {{.kind = "grid", .rows = -1},
       8,
       "grid.rows is -1: must be 1 or more, or not said"},
      {{.kind = "grid", .rows = 3},
       8,
       "grid.rows is 3: must divide the 8 peers"},
      {{.kind = "torus", .rows = 5},
       8,
       "torus.rows is 5: must divide the 8 peers"},
      {{.kind = "hypercube"},
       12,
       "hypercube needs a power of two of peers, not 12"},
      {{.kind = "random_regular", .degree = 0},
       8,
       "random_regular.degree is 0: must be 1 or more"},
      {{.kind = "random_regular", .degree = 8},
       8,
       "random_regular.degree is 8: must be less than the 8 peers"},
      {{.kind = "random_regular", .degree = 3},
       7,
       "degree is 3: must be even, as 7 peers are an odd number"},
      {{.kind = "random_regular", .degree = 1},
       4,
       "degree is 1: must be 2 or more to connect 4 peers"},
      {{.kind = "erdos_renyi"},
       8,
       "erdos_renyi.probability is 0: must be > 0 and <= 1"},
      {{.kind = "erdos_renyi", .probability = 1.1}, 8, "must be > 0 and <= 1"},
      {{.kind = "small_world", .neighbours = 3},
       8,
       "small_world.neighbours is 3: must be even, and 2 or more"},
      {{.kind = "small_world", .neighbours = 8},
       8,
       "small_world.neighbours is 8: must be less than the 8 peers"},
      {{.kind = "small_world", .rewire = 2},
       8,
       "small_world.rewire is 2: must be >= 0 and <= 1"},
      {{.kind = "edges", .edges = {{0, 8}}},
       8,
       "edges.edge[0] is 0-8: must join peers of 0..7"},
      {{.kind = "edges", .edges = {{-1, 2}}}, 8, "must join peers of 0..7"},
      {{.kind = "edges", .edges = {{0, 1}, {2, 2}}},
       8,
       "edges.edge[1] is 2-2: must join two peers"},
      {{.kind = "edges", .edges = {{0, 1}, {1, 0}}},
       2,
       "edges.edge[1] is 1-0: must be there once"},
      {{.kind = "edges", .edges = {{0, 1}, {2, 3}}},
       4,
       "edges must connect all of 4 peers"},
      {{.kind = "base", .k = 0}, 8, "base.k is 0: must be 1 or more"},
  };
  for (const auto& row : kTable) {
    EXPECT_THAT(CheckTopology(row.options, row.peers),
                StatusIs(StatusCode::kInvalidArgument, row.text));
    EXPECT_THAT(Schedule::Create(row.options, {.peers = row.peers}),
                StatusIs(StatusCode::kInvalidArgument, row.text));
  }
}

TEST(CheckTopology, OnePeerAloneFormsAnything) {
  for (absl::string_view kind : TopologyKinds()) {
    SCOPED_TRACE(std::string(kind));
    EXPECT_OK(
        CheckTopology({.kind = std::string(kind), .probability = 0.5}, 1));
  }
}

TEST(Schedule, GivesUpOnGraphsThatAreNeverConnected) {
  EXPECT_THAT(
      Schedule::Create({.kind = "erdos_renyi", .probability = 0.01},
                       {.peers = 50}),
      StatusIs(StatusCode::kInvalidArgument,
               "none of 100 random graphs of 50 peers with probability 0.01"));
}

}  // namespace
}  // namespace parley
