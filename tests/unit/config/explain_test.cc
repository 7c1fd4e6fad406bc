#include "common/config/explain.h"

#include <google/protobuf/util/message_differencer.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/config/load.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

constexpr char kRun[] = R"(
model { mlp { hidden: 30 } }
data {
  train { mixture { rows: 1000 features: 20 classes: 4 } }
  test { mixture { rows: 500 features: 20 classes: 4 } }
  partition { parts: 10 }
  held_out: 0.1
}
local { sgd {} step_size { initial: 0.1 } momentum: 0.9 }
cohort { fraction: 0.3 over_selection: 0.5 }
wire { up: ENCODING_BFLOAT16 }
evaluation { every: 4 }
stop { rounds: 10 }
)";

v1::RunConfig Load(const std::string& text) {
  auto config = LoadRunText(text, "x.textproto");
  EXPECT_OK(config);
  return config.ok() ? *config : v1::RunConfig();
}

TEST(ExplainTest, CostsAsComputedByHand) {
  ASSERT_OK_AND_ASSIGN(const RunCosts costs, ComputeCosts(Load(kRun)));
  EXPECT_EQ(costs.facts.rows, 1000);
  EXPECT_EQ(costs.facts.features, 20);
  EXPECT_EQ(costs.facts.classes, 4);
  EXPECT_EQ(costs.facts.parts, 10);
  const int64_t parameters = 20 * 30 + 30 + 30 * 4 + 4;  // 754
  EXPECT_EQ(costs.parameters, parameters);
  EXPECT_EQ(costs.clients, 10);
  EXPECT_EQ(costs.needed, 3);  // 0.3 of 10
  EXPECT_EQ(costs.asked, 5);   // 4.5, rounded up
  EXPECT_EQ(costs.bytes_down_per_client, 3016);
  EXPECT_EQ(costs.bytes_up_per_client, 1508);
  EXPECT_EQ(costs.bytes_down_per_round, 5 * 3016);
  EXPECT_EQ(costs.bytes_up_per_round, 5 * 1508);
  EXPECT_EQ(costs.evaluation_bytes_down, 5 * 3016);
  // Ten rounds, evaluations after 4, 8 and 10.
  EXPECT_EQ(costs.bytes_in_all, 10 * 5 * (3016 + 1508) + 3 * 5 * 3016);
  // Model and float64 sum, staging, clients, permits, base, test set.
  EXPECT_EQ(costs.coordinator_memory, 754 * 12 + 67108864 + 10 * 131072 +
                                          8 * 4194304 + 67108864 +
                                          500 * 21 * 4);
  // Parameters, gradient, kept update, velocity; 100 rows.
  EXPECT_EQ(costs.client_memory, 4 * 754 * 4 + 100 * 21 * 4);
}

TEST(ExplainTest, CountsWhatTheDirectionGapTakes) {
  const auto memory = [](const std::string& more) {
    const auto config = LoadRunText(
        absl::StrCat("model { logistic { bias: false } } precision: FLOAT64 "
                     "data { train { separable { rows: 50 features: 100 } } } "
                     "local { gd {} step_size { initial: 1 } } "
                     "stop { rounds: 1 } ",
                     more),
        "x.textproto");
    EXPECT_OK(config);
    return ComputeCosts(*config)->coordinator_memory;
  };
  // All rows, eight models, two Gram matrices.
  EXPECT_EQ(memory("diagnostics { direction_gap {} }") - memory(""),
            50 * 101 * 8 + 8 * 100 * 8 + 2 * 50 * 50 * 8);
}

TEST(ExplainTest, DealingByPlaceReadsAllRowsInDouble) {
  const auto memory = [](absl::string_view partition) {
    return ComputeCosts(
               Load(absl::StrReplaceAll(kRun, {{"parts: 10", partition}})))
        ->client_memory;
  };
  EXPECT_EQ(memory("parts: 10 feature_shift {}") - memory("parts: 10"),
            1000 * 21 * 8);
}

TEST(ExplainTest, CountsWhatTheServerOptimizerKeeps) {
  const auto memory = [](const std::string& optimizer) {
    const auto config = LoadRunText(
        "model { softmax {} features: 100 classes: 10 } stop { rounds: 1 } "
        "local { gd {} step_size { initial: 1 } } cohort { min: 1 } "
        "aggregation { " +
            optimizer + " {} }",
        "x.textproto");
    EXPECT_OK(config);
    return ComputeCosts(*config)->coordinator_memory;
  };
  const int64_t model = 1010 * 4;
  EXPECT_EQ(memory("momentum") - memory("plain"), model);
  EXPECT_EQ(memory("anchored") - memory("plain"), model);
  EXPECT_EQ(memory("adam") - memory("plain"), 2 * model);
}

TEST(ExplainTest, WithoutTrainTheCohortCounts) {
  ASSERT_OK_AND_ASSIGN(
      const RunCosts costs,
      ComputeCosts(Load("model { softmax {} features: 4 classes: 3 }\n"
                        "precision: FLOAT64\n"
                        "local { gd {} step_size { initial: 0.1 } }\n"
                        "cohort { min: 7 max: 2 } stop { rounds: 3 }\n")));
  EXPECT_EQ(costs.parameters, 15);
  EXPECT_EQ(costs.clients, 7);
  EXPECT_EQ(costs.asked, 2);
  EXPECT_EQ(costs.bytes_up_per_round, 2 * 15 * 8);
  EXPECT_EQ(costs.client_memory, 3 * 15 * 8);
}

TEST(ExplainTest, CountsWhatCnnsAndEmbeddingsAreMadeOf) {
  constexpr char kRest[] =
      " precision: FLOAT64 local { gd {} step_size { initial: 0.1 } "
      "proximal: 0.1 } cohort { min: 1 } stop { rounds: 3 }";
  ASSERT_OK_AND_ASSIGN(
      const RunCosts cnn,
      ComputeCosts(Load(absl::StrCat(
          "model { cnn { channels: 1 height: 28 width: 28 conv { channels: 16 }"
          " conv { channels: 32 padding: 1 } hidden: 20 } classes: 10 }",
          kRest))));
  // 28 -> 26 -> 13 -> 13 -> 6 pixels.
  const int64_t parameters =
      16 * 9 + 16 + 32 * 16 * 9 + 32 + 6 * 6 * 32 * 20 + 20 + 20 * 10 + 10;
  EXPECT_EQ(cnn.parameters, parameters);
  EXPECT_EQ(cnn.client_memory, 4 * parameters * 8);  // one for the start
  ASSERT_OK_AND_ASSIGN(
      const RunCosts embedding,
      ComputeCosts(Load(absl::StrCat("model { embedding_mlp { dimension: 4 "
                                     "hidden: 6 } features: 5 classes: 30 }",
                                     kRest))));
  EXPECT_EQ(embedding.parameters, 30 * 4 + (5 * 4) * 6 + 6 + 6 * 30 + 30);
}

TEST(ExplainTest, LocalTensorsDoNotTravelAndHugeOnesDoNotOverflow) {
  const auto run = [](const std::string& shape) {
    return Load(absl::StrCat(
        "model { custom { name: \"m\" spec {\n"
        "  tensors { name: \"w\" shape: [",
        shape,
        "] }\n"
        "  tensors { name: \"own\" shape: [5] merge: LOCAL } } } }\n"
        "cohort { min: 1 } stop { rounds: 1000000000 }\n"));
  };
  ASSERT_OK_AND_ASSIGN(const RunCosts costs, ComputeCosts(run("2, 3")));
  EXPECT_EQ(costs.parameters, 11);
  EXPECT_EQ(costs.bytes_down_per_client, 24);
  ASSERT_OK_AND_ASSIGN(const RunCosts huge,
                       ComputeCosts(run("1099511627776, 1099511627776")));
  EXPECT_EQ(huge.bytes_in_all, INT64_MAX);
  EXPECT_EQ(huge.coordinator_memory, INT64_MAX);
}

TEST(ExplainTest, TheTextIsARunFile) {
  const v1::RunConfig config = Load(kRun);
  ASSERT_OK_AND_ASSIGN(const RunCosts costs, ComputeCosts(config));
  const std::string text = Explain(config, costs);
  EXPECT_THAT(text,
              ::testing::HasSubstr("#   parameters                  754\n"));
  EXPECT_THAT(text, ::testing::HasSubstr("5 of 10 asked, 3 needed"));
  EXPECT_THAT(text, ::testing::HasSubstr("not counted: what the model's"));
  EXPECT_TRUE(
      google::protobuf::util::MessageDifferencer::Equals(Load(text), config));
  EXPECT_THAT(ToJson(costs).ToString(),
              ::testing::HasSubstr("\"bytes_up_per_client\":1508"));
}

TEST(ExplainTest, GossipCostsPeers) {
  const auto run = [](const std::string& gossip) {
    return Load(absl::StrCat(
        "model { softmax {} } data { train { mixture { rows: 800 features: 9 "
        "} } partition { parts: 8 } } local { sgd {} step_size { initial: 0.1 "
        "} } stop { rounds: 10 } gossip { ",
        gossip, " }\n"));
  };
  const int64_t model = 4 * (9 * 2 + 2);
  const int64_t rows = 800 * (9 + 1) * 4 / 8;
  ASSERT_OK_AND_ASSIGN(const RunCosts ring,
                       ComputeCosts(run("topology { ring {} }")));
  EXPECT_EQ(ring.bytes_per_peer, 2 * model);
  EXPECT_EQ(ring.bytes_in_all, 10 * 8 * 2 * model);
  EXPECT_EQ(ring.client_memory, 6 * model + rows);
  EXPECT_EQ(ring.doubt_memory, model);
  EXPECT_EQ(ring.copy_memory, model);
  ASSERT_OK_AND_ASSIGN(
      const RunCosts tracking,
      ComputeCosts(run("gradient_tracking {} topology { hypercube {} }")));
  EXPECT_EQ(tracking.bytes_per_peer, 3 * 2 * model);
  EXPECT_EQ(tracking.client_memory, 11 * model + rows);
  EXPECT_EQ(tracking.doubt_memory, 2 * model);
  ASSERT_OK_AND_ASSIGN(const RunCosts one,
                       ComputeCosts(run("d_sgd { momentum: 0.9 }")));
  EXPECT_EQ(one.bytes_per_peer, model);
  EXPECT_EQ(one.client_memory, 7 * model + rows);
  EXPECT_EQ(one.copy_memory, 0);  // who joins begins with ω = 0
  // Two payloads that it made, one that arrives and two more, and the places of
  // all numbers; x̂, and a difference for each of two neighbours.
  ASSERT_OK_AND_ASSIGN(
      const RunCosts choco,
      ComputeCosts(run("choco { top { share: 0.5 } } topology { ring {} }")));
  EXPECT_EQ(choco.payload_bytes, 10 * 8);
  EXPECT_EQ(choco.client_memory, 9 * model + 5 * 80 + 20 * 4 + rows);
  ASSERT_OK_AND_ASSIGN(
      const RunCosts random,
      ComputeCosts(
          run("choco { random { share: 0.5 } } topology { ring {} }")));
  EXPECT_EQ(random.client_memory,
            9 * model + 5 * 40 + 2 * (10 * 8 + 32 * 17 * 3 / 4) + rows);
  v1::RunConfig more = run("topology { ring {} }");
  more.mutable_local()->set_momentum(0.9);
  more.mutable_local()->set_proximal(0.1);
  more.mutable_evaluation()->set_central(true);
  *more.mutable_data()->mutable_test() = more.data().train();
  ASSERT_OK_AND_ASSIGN(const RunCosts with, ComputeCosts(more));
  EXPECT_EQ(with.client_memory,
            9 * model + 9 * rows);  // all eight parts' once more
  ASSERT_OK_AND_ASSIGN(const RunCosts exact,
                       ComputeCosts(run("exact_average {}")));
  EXPECT_EQ(exact.bytes_per_peer, 2 * 7 * model / 8);
  const v1::RunConfig config = run("average_every: 4");
  ASSERT_OK_AND_ASSIGN(const RunCosts pga, ComputeCosts(config));
  EXPECT_EQ(pga.bytes_per_peer, (7 * model / 4 + 3 * model) / 4);
  const std::string text = Explain(config, pga);
  EXPECT_THAT(text, ::testing::HasSubstr("6 models and its rows"));
  EXPECT_THAT(text, ::testing::HasSubstr("more, an edge in doubt    80 B"));
  EXPECT_TRUE(
      google::protobuf::util::MessageDifferencer::Equals(Load(text), config));
}

TEST(ExplainTest, FormatsBytes) {
  EXPECT_EQ(FormatBytes(512), "512 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(int64_t{3} << 30), "3.0 GiB");
}

}  // namespace
}  // namespace parley
