#include "client/gossip/peer_state.h"

#include <gtest/gtest.h>

#include "absl/types/span.h"
#include "client/gossip/number_chunks.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/gossip_bench.h"

namespace parley {
namespace {

void Move(ChunkSource& from, ChunkSink& to) {
  while (const auto chunk = from.Next()) {
    const absl::string_view pieces[] = {chunk->data};
    ASSERT_OK(to.Write(chunk->header, pieces));
  }
  ASSERT_OK(to.Finish().status());
}

v1::PeerStep Average(int step) {
  v1::PeerStep result;
  result.set_round(1);
  result.set_use(v1::AVERAGE);
  result.set_step(step);
  return result;
}

// A peer that gives an average up does not know whether the others take it.
TEST(PeerStateTest, WhatIsOnItsWayStaysAsItWasWhenTheAverageEnds) {
  for (const bool plain : {true, false}) {
    for (const bool applied : {false, true}) {
      ASSERT_OK_AND_ASSIGN(
          const std::unique_ptr<PeerState> state,
          PeerState::Create({.kind = "d_sgd"}, ToParameters({1, 2, 3, 4, 5, 6}),
                            /*self=*/1,
                            /*peers=*/3, /*joins=*/false));
      state->Prepare(1, plain);
      const auto numbers =
          std::make_shared<const ParameterVector>(ToParameters({10, 20}));
      NumberSource first(numbers, 0, 2);
      Move(first, *state->Staging({.link = 0, .peer = 0, .step = Average(0)}));
      state->Fold({.peer = 0, .step = Average(0), .weight = 1, .omega = 1});
      const std::shared_ptr<ChunkSource> source = state->Source(2, Average(1));
      state->CloseAverage(applied);
      const auto arrived =
          std::make_shared<ParameterVector>(ToParameters({0, 0}));
      NumberSink sink(arrived);
      Move(*source, sink);
      EXPECT_EQ(ToVector(*arrived), (Vector{11, 22})) << plain << applied;
    }
  }
}

// Flows with whoever stays are counted on; with the others they are not lost.
TEST(PeerStateTest, FlowsOutlastTheEpoch) {
  ASSERT_OK_AND_ASSIGN(
      const std::unique_ptr<PeerState> state,
      PeerState::Create({.kind = "push_sum"}, ToParameters({1, 3}), /*self=*/0,
                        /*peers=*/4, /*joins=*/false));
  state->Prepare(1, /*plain=*/true);
  state->Give(1, 0.5);
  state->Give(2, 0.25);
  state->Give(3, 0.125);
  ASSERT_OK(state->Mix());
  // 1 is gone, and 3 another process.
  state->ChangeEpoch({.round = 2,
                      .self = 1,
                      .index = {1, -1, 0, 2},
                      .addresses = {"c", "a", "d"},
                      .begins_anew = {false, false, true}});
  ASSERT_EQ(state->flows().size(), 1);
  EXPECT_EQ(state->flows().at(0).sum, -1);
  EXPECT_EQ(state->flows().at(0).omega, -0.25);
  EXPECT_EQ(state->gone().sum, -2.5);
  EXPECT_EQ(state->gone().omega, -0.625);
  EXPECT_EQ(state->added().sum, 4);
  EXPECT_EQ(state->balance().sum, 0.5);
  EXPECT_EQ(state->balance().omega, 0.125);
}

}  // namespace
}  // namespace parley
