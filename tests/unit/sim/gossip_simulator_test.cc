// Gossip runs from their file, in the simulator.
#include "tools/sim/gossip_simulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/facts.h"
#include "common/config/load.h"
#include "common/files/parameter_file.h"
#include "common/report/conservation.h"
#include "common/report/metrics_log.h"
#include "tests/support/status_matchers.h"
#include "tools/sim/consensus_meter.h"
#include "tools/sim/part_trainers.h"

namespace parley {
namespace {

v1::RunConfig Load(int peers, int rounds, absl::string_view gossip) {
  const auto config = LoadRunText(
      absl::StrCat("model { softmax {} } data {", " train { mixture { rows: ",
                   peers * 40, " features: 6 classes: 3 } }",
                   " test { mixture { rows: 300 features: 6 classes: 3 } }",
                   " partition { parts: ", peers,
                   " dirichlet { alpha: 0.3 } } }",
                   " local { sgd { batch_size: 10 steps: 3 }",
                   " step_size { initial: 0.2 } }", " stop { rounds: ", rounds,
                   " } gossip { ", gossip, " }"),
      "x.textproto");
  EXPECT_OK(config);
  return config.ok() ? *config : v1::RunConfig();
}

SimulatorOptions OptionsOf(const v1::RunConfig& config, int threads,
                           std::vector<RoundReport>* rounds) {
  SimulatorOptions options;
  options.config = config;
  options.threads = threads;
  options.on_round = [rounds](const RoundReport& report) {
    rounds->push_back(report);
  };
  return options;
}

TEST(GossipSimulator, IsTheSameWithAnyNumberOfThreads) {
  for (const char* gossip :
       {"topology { ring {} }", "", "topology { random_matching {} }",
        "topology { torus {} } gradient_tracking {} average_every: 4",
        "topology { torus {} } ad_psgd {}"}) {
    SCOPED_TRACE(gossip);
    const v1::RunConfig config = Load(9 + (*gossip == 0 ? 0 : 3), 12, gossip);
    std::vector<RoundReport> first;
    ASSERT_OK_AND_ASSIGN(const SimulatorResult one,
                         Simulate(OptionsOf(config, 1, &first)));
    ASSERT_EQ(first.size(), 12);
    for (const int threads : {2, 5}) {
      std::vector<RoundReport> rounds;
      ASSERT_OK_AND_ASSIGN(const SimulatorResult many,
                           Simulate(OptionsOf(config, threads, &rounds)));
      EXPECT_EQ(many.model.Hash(), one.model.Hash());
      EXPECT_TRUE(rounds == first);
    }
  }
}

TEST(GossipSimulator, TellsConsensusContractionLossAndBytes) {
  const std::string folder =
      absl::StrCat(testing::TempDir(), "/gossip_simulator");
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const v1::RunConfig config = Load(8, 30, "topology { ring {} }");
  std::vector<RoundReport> rounds;
  SimulatorOptions options = OptionsOf(config, 2, &rounds);
  options.folder = folder;
  ASSERT_OK_AND_ASSIGN(const SimulatorResult result,
                       Simulate(std::move(options)));
  EXPECT_EQ(result.status.state(), v1::FINISHED);
  const double rho = 0.804738;
  for (const RoundReport& round : rounds) {
    EXPECT_NEAR(round.metrics.at("rho"), rho, 1e-6);
    EXPECT_GT(round.metrics.at("consensus"), 0);
    if (round.round == 1) continue;  // all are equal when it begins
    EXPECT_LE(round.metrics.at("contraction"), rho + 1e-4);
    EXPECT_GT(round.metrics.at("contraction"), 0.2);
    EXPECT_EQ(round.bytes_up, 8 * 2 * result.model.bytes());
    EXPECT_EQ(round.bytes_down, round.bytes_up);
  }
  EXPECT_LT(*rounds.back().central.loss, *rounds[0].central.loss);
  EXPECT_GT(*rounds.back().central.accuracy, 0.7);
  EXPECT_EQ(rounds.back().evaluations.size(), 8);
  // The peers' exact average is what an onlooker would take.
  const auto last = *ReadParameters(absl::StrCat(folder, "/model.safetensors"));
  EXPECT_EQ(last.values.Hash(), result.model.Hash());
  ASSERT_OK_AND_ASSIGN(const std::vector<RoundReport> written,
                       ReadMetrics(absl::StrCat(folder, "/", kMetricsFile)));
  EXPECT_TRUE(written == rounds);
  EXPECT_TRUE(std::filesystem::exists(folder + "/report.html"));
}

TEST(GossipSimulator, AuditsTheEdgesAndEvaluatesThePeersAsTheFileSays) {
  for (const char* gossip :
       {"topology { ring {} }", "topology { ring {} } gradient_tracking {}",
        "topology { static_exponential {} } push_sum {}",
        "topology { ring {} } ad_psgd {}"}) {
    SCOPED_TRACE(gossip);
    std::vector<RoundReport> rounds;
    v1::RunConfig config = Load(8, 10, gossip);
    config.mutable_evaluation()->set_every(4);
    ASSERT_OK(Simulate(OptionsOf(config, 2, &rounds)));
    for (const RoundReport& round : rounds) {
      EXPECT_NEAR(round.metrics.at(kMass), 8, 1e-9);
      EXPECT_LT(round.metrics.at(kConservationError), 1e-9);
      EXPECT_LT(round.metrics.at(kBalanceError), 1e-7);
      EXPECT_EQ(round.metrics.at(kInDoubt), 0);
      const bool evaluated = round.round % 4 == 0 || round.round == 10;
      EXPECT_EQ(round.evaluations.size(), evaluated ? 8 : 0) << round.round;
      EXPECT_EQ(round.federated.accuracy.has_value(), evaluated);
      EXPECT_EQ(round.central.accuracy.has_value(), evaluated);
    }
  }
}

TEST(GossipSimulator, SaysWhereItTookTheAverageItself) {
  std::vector<RoundReport> rounds;
  std::string said;
  SimulatorOptions options = OptionsOf(
      Load(kMostAveragingPeers + 2, 2, "topology { ring {} }"), 2, &rounds);
  options.say = [&](LogLevel, const std::string& text) { said = text; };
  ASSERT_OK_AND_ASSIGN(const SimulatorResult many, Simulate(options));
  EXPECT_THAT(said, testing::HasSubstr("more than 128 peers"));
  EXPECT_THAT(many.status.detail(), testing::HasSubstr("more than 128 peers"));
  said.clear();
  options.config = Load(4, 2, "topology { ring {} }");
  ASSERT_OK_AND_ASSIGN(const SimulatorResult few, Simulate(options));
  EXPECT_EQ(said, "");
  EXPECT_EQ(few.status.detail(), "all rounds are done");
}

// Exact averages: all peers have one model, so nothing is left of consensus
// distance, and W is 11ᵀ/m.
TEST(GossipSimulator, ExactAveragesLeaveNoDistance) {
  std::vector<RoundReport> rounds;
  ASSERT_OK(Simulate(OptionsOf(Load(5, 6, "exact_average {}"), 2, &rounds)));
  for (const RoundReport& round : rounds) {
    EXPECT_LT(round.metrics.at("consensus"), 1e-12);
  }
}

TEST(GossipSimulator, CompressedExchangesSendLess) {
  std::vector<RoundReport> rounds;
  ASSERT_OK_AND_ASSIGN(
      const SimulatorResult result,
      Simulate(
          OptionsOf(Load(8, 20, "topology { ring {} } choco { bfloat16 {} }"),
                    2, &rounds)));
  EXPECT_EQ(rounds[3].bytes_up, 8 * 2 * result.model.bytes() / 2);
  EXPECT_FALSE(rounds[3].metrics.contains("contraction"));
  EXPECT_GT(result.status.accuracy(), 0.7);
}

// Peers that have no rounds in common: a round is the same local step of all.
TEST(GossipSimulator, PairsLearn) {
  for (const int peers : {8, 150}) {  // 150 have no average of their own
    SCOPED_TRACE(peers);
    std::vector<RoundReport> rounds;
    ASSERT_OK_AND_ASSIGN(
        const SimulatorResult result,
        Simulate(OptionsOf(Load(peers, 20, "topology { ring {} } ad_psgd {}"),
                           2, &rounds)));
    ASSERT_EQ(rounds.size(), 20);
    for (size_t i = 0; i < rounds.size(); ++i) {
      EXPECT_EQ(rounds[i].round, static_cast<int64_t>(i) + 1);
      EXPECT_EQ(rounds[i].clients, peers);
      EXPECT_EQ(rounds[i].metrics.at("lost_edges"), 0);
      EXPECT_GT(rounds[i].metrics.at("consensus"), 0);
      EXPECT_FALSE(rounds[i].metrics.contains("contraction"));
    }
    EXPECT_GT(result.status.accuracy(), 0.7);
    // Two models move in an exchange, of which each peer has one a step.
    const double models = static_cast<double>(result.status.bytes_up()) /
                          static_cast<double>(result.model.bytes());
    EXPECT_GT(models, 20 * peers);
    EXPECT_LE(models, 2 * 20 * peers);
  }
}

// Adds up what the local steps of the last round end with.
class LastRoundTrainer final : public Trainer {
 public:
  LastRoundTrainer(std::unique_ptr<Trainer> trainer, int64_t last,
                   std::vector<double>* sum)
      : trainer_(std::move(trainer)), last_(last), sum_(*sum) {}
  absl::StatusOr<TrainResult> Train(const TrainTask& task,
                                    ParameterVector& parameters) override {
    auto result = trainer_->Train(task, parameters);
    if (task.round != last_) return result;
    sum_.resize(parameters.elements());
    for (size_t i = 0; i < sum_.size(); ++i) {
      sum_[i] += parameters.As<float>()[i];
    }
    return result;
  }
  absl::StatusOr<TrainResult> Evaluate(
      const TrainTask& task, const ParameterVector& parameters) override {
    return trainer_->Evaluate(task, parameters);
  }

 private:
  const std::unique_ptr<Trainer> trainer_;
  const int64_t last_;
  std::vector<double>& sum_;
};

TEST(GossipSimulator, AThousandPeers) {
  constexpr int kPeers = 1024, kRounds = 12;
  std::vector<RoundReport> rounds;
  SimulatorOptions options =
      OptionsOf(Load(kPeers, kRounds, ""), /*threads=*/1, &rounds);
  ASSERT_OK_AND_ASSIGN(const DataFacts facts, ProbeData(options.config));
  StateFacts(facts, &options.config);
  ASSERT_OK_AND_ASSIGN(const MakeTrainer parts,
                       PartTrainers(options.config, nullptr));
  std::vector<double> sum;
  options.make_trainer =
      [&](int64_t part) -> absl::StatusOr<std::unique_ptr<Trainer>> {
    PARLEY_ASSIGN_OR_RETURN(std::unique_ptr<Trainer> trainer, parts(part));
    return std::make_unique<LastRoundTrainer>(std::move(trainer), kRounds,
                                              &sum);
  };
  ASSERT_OK_AND_ASSIGN(const SimulatorResult result,
                       Simulate(std::move(options)));
  ASSERT_EQ(rounds.size(), kRounds);
  for (int i = 0; i < kRounds; ++i) {
    EXPECT_EQ(rounds[i].round, i + 1);
    EXPECT_EQ(rounds[i].clients, kPeers);
    EXPECT_EQ(rounds[i].metrics.at(kUsedEdges), kPeers);  // one that each hears
    EXPECT_EQ(rounds[i].metrics.at(kLostEdges), 0);
    EXPECT_NEAR(rounds[i].metrics.at(kMass), kPeers, 1e-9);
    EXPECT_LT(rounds[i].metrics.at(kConservationError), 1e-9);
    EXPECT_EQ(rounds[i].bytes_up, kPeers * result.model.bytes());
  }
  EXPECT_LT(*rounds.back().train_loss, 0.7 * *rounds[0].train_loss);
  EXPECT_GT(result.status.accuracy(), 0.6);
  // Mixing leaves the mean as it is: the model is that of what was trained.
  EXPECT_EQ(rounds.back().model_hash, result.model.Hash());
  ASSERT_EQ(static_cast<int64_t>(sum.size()), result.model.elements());
  for (size_t i = 0; i < sum.size(); ++i) {
    EXPECT_NEAR(result.model.As<float>()[i], sum[i] / kPeers, 1e-6);
  }
}

TEST(ConsensusMeter, IsTheTraceOfTheCovariance) {
  // (1, 2), (3, 2), (8, 5): mean (4, 3), squares 9+1 + 1+1 + 16+4 over 3.
  ConsensusMeter meter;
  for (const std::vector<double>& v :
       {std::vector<double>{1, 2}, {3, 2}, {8, 5}}) {
    ParameterVector x(DType::kFloat64, 2);
    std::copy(v.begin(), v.end(), x.As<double>().begin());
    meter.Add(2, 1, x);
  }
  EXPECT_NEAR(meter.trace(), 32.0 / 3, 1e-12);
  EXPECT_EQ(meter.Mean(DType::kFloat64).As<double>()[0], 4);
  EXPECT_EQ(meter.Mean(DType::kFloat64).As<double>()[1], 3);
}

}  // namespace
}  // namespace parley
