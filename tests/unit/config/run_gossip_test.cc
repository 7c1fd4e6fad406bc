#include "common/config/run_gossip.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/config/defaults.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/config/run_errors.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

std::string ErrorsOfGossip(absl::string_view gossip,
                           absl::string_view more = "") {
  return ErrorsAdding(absl::StrCat("gossip { ", gossip, " }\n", more));
}

v1::RunConfig Load(absl::string_view gossip) {
  const auto config =
      LoadRunText(absl::StrCat(kGood, "gossip { ", gossip, " }"), "x");
  EXPECT_OK(config);
  return config.ok() ? *config : v1::RunConfig();
}

TEST(RunGossipTest, Defaults) {
  const v1::RunConfig config = Load("");
  EXPECT_EQ(config.gossip().d_sgd().order(),
            v1::DSgd::ADAPT_WHILE_COMMUNICATING);
  EXPECT_TRUE(config.gossip().topology().has_one_peer_exponential());
  EXPECT_EQ(config.gossip().edge_seconds(), 15);
  EXPECT_EQ(config.gossip().average_every(), 0);
  EXPECT_EQ(Load("decent_lam {} topology { ring {} }")
                .gossip()
                .decent_lam()
                .momentum(),
            0.9);
  // There is no server, so nothing is said of one.
  EXPECT_FALSE(config.has_aggregation());
  EXPECT_FALSE(config.has_cohort());
  EXPECT_FALSE(config.has_wire());
  v1::RunConfig again = config;
  FillDefaults(&again);
  EXPECT_EQ(again.DebugString(), config.DebugString());
}

TEST(RunGossipTest, AlgorithmsAndWhatTheyNeed) {
  const auto traits = [](absl::string_view gossip) {
    return TraitsOf(AlgorithmOptionsOf(Load(gossip)));
  };
  EXPECT_FALSE(traits("").trains_first);
  EXPECT_EQ(PeerVectors(traits(""), 2), 5);
  EXPECT_TRUE(traits("d_sgd { order: ADAPT_THEN_COMBINE }").trains_first);
  EXPECT_EQ(PeerVectors(traits("d_sgd { momentum: 0.9 }"), 2), 6);
  EXPECT_EQ(PeerVectors(traits("gradient_tracking {} topology { ring {} }"), 2),
            10);
  EXPECT_TRUE(GossipTopologyOf(Load("d2 {} topology { ring {} }")).lazy);
  EXPECT_EQ(PeerVectors(traits("choco {} topology { ring {} }"), 2), 8);
  EXPECT_TRUE(traits("push_sum {}").flows);
  EXPECT_TRUE(traits("exact_average {}").averages);
  for (const char* topology :
       {"ring", "path", "grid", "torus", "star", "complete", "random_regular"}) {
    EXPECT_TRUE(
        traits(absl::StrCat("ad_psgd {} topology { ", topology, " {} }")).pairs);
  }
  EXPECT_EQ(PeerVectors(traits("ad_psgd {} topology { ring {} }"), 2), 6);
}

TEST(RunGossipTest, CompressedSizes) {
  const auto bytes = [](absl::string_view choco) {
    const v1::RunConfig config =
        Load(absl::StrCat("choco { ", choco, " } topology { ring {} }"));
    return CompressedBytes(AlgorithmOptionsOf(config), 4, 10000);
  };
  EXPECT_EQ(bytes(""), 20000);
  EXPECT_EQ(bytes("int8 {}"), 10000 + 3 * 4);
  EXPECT_EQ(bytes("top {}"), 100 * 8);
  EXPECT_EQ(bytes("random { share: 0.25 }"), 2500 * 4);
  EXPECT_EQ(bytes("top { share: 1e-9 }"), 8);
}

TEST(RunGossipTest, CombinationsThatDoNotGo) {
  EXPECT_THAT(ErrorsOfGossip("decent_lam {}"),
              HasSubstr("gossip.topology is one_peer_exponential: must have no "
                        "directed edges with decent_lam"));
  EXPECT_THAT(
      ErrorsOfGossip("d2 {} topology { ring { directed: true } }"),
      HasSubstr("is directed ring: must have no directed edges with d2"));
  EXPECT_THAT(ErrorsOfGossip("d2 {} topology { base {} }"),
              HasSubstr("must be the same in all rounds with d2"));
  EXPECT_THAT(ErrorsOfGossip("exact_average {} topology { ring {} }"),
              HasSubstr("gossip.topology must not be set with exact_average"));
  EXPECT_THAT(ErrorsOfGossip("exact_average {} average_every: 2"),
              HasSubstr("gossip.average_every must not be set"));
  EXPECT_THAT(ErrorsOfGossip("choco {} topology { base {} }"),
              HasSubstr("must be the same in all rounds with choco"));
  EXPECT_THAT(ErrorsOfGossip("choco {} average_every: 3 topology { ring {} }"),
              HasSubstr("gossip.average_every must not be set with choco"));
  EXPECT_THAT(ErrorsOfGossip("choco { top { share: 0 } } topology { ring {} }"),
              HasSubstr("gossip.choco.top.share is 0: must be > 0 and <= 1"));
  EXPECT_THAT(ErrorsOfGossip("ad_psgd {}"),
              HasSubstr("gossip.topology is one_peer_exponential: must have no "
                        "directed edges with ad_psgd"));
  EXPECT_THAT(ErrorsOfGossip("ad_psgd {} topology { random_matching {} }"),
              HasSubstr("must be the same in all rounds with ad_psgd"));
  EXPECT_THAT(
      ErrorsOfGossip("ad_psgd {} average_every: 3 topology { ring {} }"),
      HasSubstr("gossip.average_every must not be set with ad_psgd"));
  EXPECT_THAT(ErrorsOfGossip("d_sgd { momentum: 1 }"),
              HasSubstr("gossip.d_sgd.momentum is 1: must be >= 0 and < 1"));
}

TEST(RunGossipTest, WhatOnlyAServerDoes) {
  for (const char* more :
       {"aggregation { median {} }", "cohort { fraction: 0.5 }",
        "wire { up: ENCODING_BFLOAT16 }", "checkpoints { every: 5 }",
        "round_values { name: \"x\" }", "evaluation { federated: true }"}) {
    EXPECT_EQ(ErrorsAdding(more).find("gossip"), std::string::npos) << more;
    EXPECT_THAT(ErrorsOfGossip("", more),
                HasSubstr("must not be set with gossip"))
        << more;
  }
  EXPECT_THAT(ErrorsOf(absl::StrCat(kGood, "gossip {}"),
                       {"stop.accuracy=0.9", "data.held_out=0.1",
                        "stop.wall_seconds=5"}),
              testing::AllOf(HasSubstr("stop.accuracy must not"),
                             HasSubstr("data.held_out must not"),
                             HasSubstr("stop.wall_seconds must not")));
}

TEST(RunGossipTest, AllTensorsAreMeans) {
  constexpr char kCustom[] = R"(model { custom { name: "m" spec {
      tensors { name: "a" shape: 3 }
      tensors { name: "b" shape: 2 merge: COPY } } } }
    gossip {}
    stop { rounds: 3 })";
  EXPECT_THAT(ErrorsOf(kCustom), HasSubstr("has b, merged by COPY: must be "
                                           "MEAN for all tensors"));
}

}  // namespace
}  // namespace parley
