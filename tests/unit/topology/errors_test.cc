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
      {{.kind = "ring"}, 0, "has 1 to 16384 peers, not 0"},
      {{.kind = "ring"}, 16385, "not 16385"},
      {{.kind = "grid", .rows = -1}, 8, "rows is -1: must be 1 or more"},
      {{.kind = "grid", .rows = 3}, 8, "rows is 3: must divide the 8 peers"},
      {{.kind = "torus", .rows = 5}, 8, "rows is 5: must divide the 8 peers"},
      {{.kind = "hypercube"}, 12, "needs a power of two of peers, and there "},
      {{.kind = "random_regular", .degree = 0}, 8, "degree is 0: must be 1 "},
      {{.kind = "random_regular", .degree = 8}, 8, "less than the 8 peers"},
      {{.kind = "random_regular", .degree = 3}, 7, "must be even with the odd"},
      {{.kind = "random_regular", .degree = 1}, 4, "does not connect 4 peers"},
      {{.kind = "erdos_renyi"}, 8, "probability is 0: must be > 0 and <= 1"},
      {{.kind = "erdos_renyi", .probability = 1.1}, 8, "must be > 0 and <= 1"},
      {{.kind = "small_world", .neighbours = 3}, 8, "must be even, and 2 or"},
      {{.kind = "small_world", .neighbours = 8}, 8, "less than the 8 peers"},
      {{.kind = "small_world", .rewire = 2}, 8, "rewire is 2: must be in 0..1"},
      {{.kind = "edges", .edges = {{0, 8}}}, 8, "0-8 names a peer that is not"},
      {{.kind = "edges", .edges = {{-1, 2}}}, 8, "not one of 0..7"},
      {{.kind = "edges", .edges = {{2, 2}}}, 8, "2-2 joins a peer to itself"},
      {{.kind = "edges", .edges = {{0, 1}, {1, 0}}}, 2, "1-0 is there twice"},
      {{.kind = "edges", .edges = {{0, 1}, {2, 3}}}, 4, "do not connect all 4"},
      {{.kind = "base", .k = 0}, 8, "k is 0: must be 1 or more"},
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
