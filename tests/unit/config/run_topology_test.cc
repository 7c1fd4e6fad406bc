#include "common/config/run_topology.h"

#include <gtest/gtest.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/config/defaults.h"
#include "common/topology/schedule.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/config/run_errors.h"

namespace parley {
namespace {

std::string ErrorsOfTopology(absl::string_view topology) {
  return ErrorsAdding(absl::StrCat("gossip { topology { ", topology, " } }"));
}

TopologyOptions OptionsOf(absl::string_view topology) {
  const auto config = LoadRunText(
      absl::StrCat(kGood, "gossip { topology { ", topology, " } }"), "x");
  EXPECT_OK(config);
  return config.ok() ? TopologyOptionsOf(config->gossip().topology())
                     : TopologyOptions();
}

TEST(RunTopologyTest, EveryKindOfTheRunFileMakesASchedule) {
  const auto* descriptor = v1::Topology::descriptor()->oneof_decl(0);
  const std::vector<absl::string_view> kinds = TopologyKinds();
  ASSERT_EQ(descriptor->field_count(), static_cast<int>(kinds.size()));
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const std::string kind = descriptor->field(i)->name();
    EXPECT_EQ(kind, std::string(kinds[i]));
    v1::RunConfig config;
    v1::Topology* topology = config.mutable_gossip()->mutable_topology();
    topology->GetReflection()->MutableMessage(topology, descriptor->field(i));
    if (topology->has_erdos_renyi()) {
      topology->mutable_erdos_renyi()->set_probability(1);
    }
    if (topology->has_edges()) {
      for (int b = 1; b < 8; ++b) {
        topology->mutable_edges()->add_edge()->set_b(b);
      }
    }
    FillDefaults(&config);
    const TopologyOptions options = TopologyOptionsOf(*topology);
    EXPECT_EQ(options.kind, kind);
    EXPECT_OK(Schedule::Create(options, {.seed = 1, .peers = 8}));
  }
}

TEST(RunTopologyTest, FieldsAndDefaults) {
  EXPECT_EQ(OptionsOf("").kind, "one_peer_exponential");
  EXPECT_FALSE(OptionsOf("ring {}").directed);
  EXPECT_TRUE(OptionsOf("ring { directed: true }").directed);
  EXPECT_EQ(OptionsOf("grid {}").rows, 0);
  EXPECT_EQ(OptionsOf("grid { rows: 2 }").rows, 2);
  EXPECT_EQ(OptionsOf("torus { rows: 4 }").rows, 4);
  EXPECT_EQ(OptionsOf("random_regular {}").degree, 3);
  EXPECT_EQ(OptionsOf("random_regular { degree: 2 }").degree, 2);
  EXPECT_EQ(OptionsOf("erdos_renyi { probability: 0.9 }").probability, 0.9);
  EXPECT_EQ(OptionsOf("small_world { neighbours: 2 }").neighbours, 2);
  EXPECT_EQ(OptionsOf("small_world { neighbours: 2 }").rewire, 0.1);
  EXPECT_EQ(OptionsOf("small_world { neighbours: 2 rewire: 0.5 }").rewire, 0.5);
  EXPECT_EQ(OptionsOf("base {}").k, 1);
  EXPECT_EQ(OptionsOf("base { k: 3 }").k, 3);
  const TopologyOptions edges = OptionsOf(
      "edges { edge { b: 1 } edge { a: 1 b: 2 } edge { a: 3 b: 2 } }");
  ASSERT_EQ(edges.edges.size(), 3);
  EXPECT_EQ(edges.edges[2].a, 3);
  EXPECT_EQ(edges.edges[2].b, 2);
}

TEST(RunTopologyTest, RangesAreThoseOfTheFile) {
  EXPECT_EQ(ErrorsOfTopology("grid { rows: 0 }"),
            "x.textproto:8: gossip.topology.grid.rows is 0: must be >= 1 and "
            "<= 16384");
  EXPECT_EQ(ErrorsOfTopology("random_regular { degree: 0 }"),
            "x.textproto:8: gossip.topology.random_regular.degree is 0: must "
            "be >= 1 and <= 1000");
  EXPECT_EQ(ErrorsOfTopology("erdos_renyi {}"),
            "x.textproto:8: gossip.topology.erdos_renyi.probability is "
            "missing: must be > 0 and <= 1");
  EXPECT_EQ(ErrorsOfTopology("erdos_renyi { probability: 1.5 }"),
            "x.textproto:8: gossip.topology.erdos_renyi.probability is 1.5: "
            "must be > 0 and <= 1");
  EXPECT_EQ(ErrorsOfTopology("small_world { neighbours: 2 rewire: -1 }"),
            "x.textproto:8: gossip.topology.small_world.rewire is -1: must be "
            ">= 0 and <= 1");
  EXPECT_EQ(ErrorsOfTopology("base { k: 1001 }"),
            "x.textproto:8: gossip.topology.base.k is 1001: must be >= 1 and "
            "<= 1000");
  EXPECT_EQ(ErrorsOfTopology("edges { edge { a: -1 } }"),
            "x.textproto:8: gossip.topology.edges.edge[0].a is -1: must be >= "
            "0 and <= 16383");
}

TEST(RunTopologyTest, ThePeersMustBeAbleToFormIt) {
  EXPECT_EQ(ErrorsOfTopology("grid { rows: 3 }"),
            "x.textproto:8: gossip.topology.grid.rows is 3: must divide the 4 "
            "peers");
  EXPECT_EQ(ErrorsOfTopology("random_regular { degree: 4 }"),
            "x.textproto:8: gossip.topology.random_regular.degree is 4: must "
            "be less than the 4 peers");
  EXPECT_EQ(ErrorsOfTopology("small_world { neighbours: 3 }"),
            "x.textproto:8: gossip.topology.small_world.neighbours is 3: must "
            "be even, and 2 or more");
  EXPECT_EQ(ErrorsOfTopology("edges { edge { b: 1 } edge { a: 2 b: 4 } }"),
            "x.textproto:8: gossip.topology.edges.edge[1] is 2-4: must join "
            "peers of 0..3");
  EXPECT_EQ(ErrorsOfTopology("edges { edge { b: 1 } edge { a: 2 b: 3 } }"),
            "x.textproto:8: gossip.topology.edges must connect all of 4 peers");
  EXPECT_EQ(ErrorsOf(absl::StrCat(
                absl::StrReplaceAll(kGood, {{"parts: 4", "parts: 12"}}),
                "gossip { topology { hypercube {} } }")),
            "x.textproto:8: gossip.topology.hypercube needs a power of two of "
            "peers, not 12");
}

// Where each peer brings its own data, nobody knows yet how many they are.
TEST(RunTopologyTest, UnknownPeersMayFormAnything) {
  constexpr char kOwn[] =
      "model { softmax {} features: 5 classes: 2 } "
      "local { sgd {} step_size { initial: 0.1 } } stop { rounds: 3 }\n"
      "gossip { topology { ";
  EXPECT_EQ(ErrorsOf(absl::StrCat(kOwn, "hypercube {} } }")), "");
  EXPECT_EQ(ErrorsOf(absl::StrCat(kOwn, "grid { rows: 3 } } }")), "");
  EXPECT_EQ(ErrorsOf(absl::StrCat(kOwn, "edges { edge { a: 1 b: 1 } } } }")),
            "x.textproto:2: gossip.topology.edges.edge[0] is 1-1: must join "
            "two peers");
}

}  // namespace
}  // namespace parley
