// The properties that a run holds whatever happens on its links: the same
// model, nothing computed twice, every update counted once, and nobody waits
// for a client that cannot answer.

#include <atomic>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "common/config/load.h"
#include "tests/support/status_matchers.h"
#include "tools/sim/simulator.h"

namespace parley {
namespace {

constexpr char kRun[] = R"(
  model { softmax {} }
  data {
    train { mixture { rows: 400 features: 8 classes: 4 } }
    partition { parts: 6 dirichlet { alpha: 0.5 min_rows: 5 } }
    held_out: 0.2
  }
  local { sgd { batch_size: 10 epochs: 1 } step_size { initial: 0.1 } }
  stop { rounds: 6 }
)";

v1::RunConfig Config(const std::vector<std::string>& overrides = {}) {
  auto config = LoadRunText(kRun, "test.textproto", overrides);
  EXPECT_OK(config);
  return *std::move(config);
}

SimulatorOptions Quiet(v1::RunConfig config) {
  SimulatorOptions options;
  options.config = std::move(config);
  options.threads = 2;
  options.say = [](LogLevel, const std::string&) {};
  return options;
}

// Breaks sessions and transfers at random.
class RandomFaults final : public LinkFaults {
 public:
  RandomFaults(uint64_t seed, int64_t client)
      : rng_(seed, "", client, "faults") {}
  bool BreakSession() override { return Broken(0.05); }
  std::optional<int64_t> BreakTransferAfter() override {
    if (!Broken(0.3)) return std::nullopt;
    return static_cast<int64_t>(rng_.Below(2));
  }
  int64_t broken() const { return broken_; }

 private:
  bool Broken(double probability) {
    const bool broken = rng_.Uniform() < probability;
    broken_ += broken;
    return broken;
  }
  Rng rng_;
  int64_t broken_ = 0;
};

TEST(Federation, TheNumberOfThreadsDoesNotChangeTheModel) {
  for (const char* precision : {"FLOAT32", "FLOAT64"}) {
    std::vector<uint64_t> hashes;
    for (int threads : {1, 2, 4}) {
      SimulatorOptions options =
          Quiet(Config({std::string("precision=") + precision}));
      options.threads = threads;
      ASSERT_OK_AND_ASSIGN(const auto result, Simulate(std::move(options)));
      EXPECT_EQ(result.status.state(), v1::FINISHED);
      hashes.push_back(result.model.Hash());
    }
    EXPECT_EQ(hashes[0], hashes[1]);
    EXPECT_EQ(hashes[0], hashes[2]);
  }
}

TEST(Federation, BrokenLinksDoNotChangeTheModelOrCostWork) {
  ASSERT_OK_AND_ASSIGN(const auto undisturbed, Simulate(Quiet(Config())));
  int64_t broken = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    std::map<int64_t, std::unique_ptr<RandomFaults>> faults;
    // Whether the numbers travel within messages or not.
    std::vector<std::string> overrides;
    if (seed % 2 == 0) overrides = {"wire.inline_bytes=0"};
    SimulatorOptions options = Quiet(Config(overrides));
    options.faults = [&](int64_t client) {
      return (faults[client] = std::make_unique<RandomFaults>(seed, client))
          .get();
    };
    std::vector<size_t> counted;
    options.on_round = [&](const RoundReport& round) {
      counted.push_back(round.counted.size());
      EXPECT_TRUE(round.refused.empty());
    };
    ASSERT_OK_AND_ASSIGN(const auto result, Simulate(std::move(options)));
    EXPECT_EQ(result.status.state(), v1::FINISHED) << result.status.detail();
    EXPECT_EQ(result.model.Hash(), undisturbed.model.Hash()) << "seed " << seed;
    EXPECT_EQ(counted, std::vector<size_t>(6, 6));
    for (const auto& [client, f] : faults) broken += f->broken();
  }
  EXPECT_GT(broken, 500);  // or nothing was tested
}

// ---------------------------------------------------------- clients of a kind

constexpr char kPlainRun[] = R"(
  model { custom { name: "test" spec { dtype: FLOAT64
    tensors { name: "w" shape: 3 merge: MEAN } } } }
  precision: FLOAT64
  cohort { min: 4 }
  evaluation { every: 0 }
  start { zeros {} }
  stop { rounds: 3 }
)";

v1::RunConfig PlainConfig(const std::vector<std::string>& overrides) {
  auto config = LoadRunText(kPlainRun, "test.textproto", overrides);
  EXPECT_OK(config);
  return *std::move(config);
}

// Adds its number + 1 to every parameter, with as many examples.
class AddingTrainer : public Trainer {
 public:
  AddingTrainer(int64_t client, std::atomic<int>* calls)
      : client_(client), calls_(calls) {}
  absl::StatusOr<TrainResult> Train(const TrainTask&,
                                    ParameterVector& w) override {
    ++*calls_;
    for (double& x : w.As<double>()) x += static_cast<double>(client_ + 1);
    return TrainResult{.examples = static_cast<double>(client_ + 1),
                       .local_steps = 1,
                       .metrics = {}};
  }
  absl::StatusOr<TrainResult> Evaluate(const TrainTask&,
                                       const ParameterVector&) override {
    return absl::UnimplementedError("no data");
  }

 protected:
  const int64_t client_;
  std::atomic<int>* const calls_;
};

struct Outcome {
  SimulatorResult result;
  std::vector<RoundReport> rounds;
  int calls = 0;
};

// A federation of adding trainers, but for client 3, whose Train is `train`.
absl::StatusOr<Outcome> RunWith(const std::vector<std::string>& overrides,
                                std::function<absl::StatusOr<TrainResult>(
                                    const TrainTask&, ParameterVector&)>
                                    train) {
  class OddTrainer final : public AddingTrainer {
   public:
    OddTrainer(decltype(train) f, std::atomic<int>* calls)
        : AddingTrainer(3, calls), train_(std::move(f)) {}
    absl::StatusOr<TrainResult> Train(const TrainTask& task,
                                      ParameterVector& w) override {
      return train_(task, w);
    }

   private:
    const decltype(train) train_;
  };
  std::atomic<int> calls = 0;
  Outcome outcome;
  SimulatorOptions options = Quiet(PlainConfig(overrides));
  options.on_round = [&](const RoundReport& round) {
    outcome.rounds.push_back(round);
  };
  options.make_trainer =
      [&](int64_t client) -> absl::StatusOr<std::unique_ptr<Trainer>> {
    if (client == 3 && train)
      return std::make_unique<OddTrainer>(train, &calls);
    return std::make_unique<AddingTrainer>(client, &calls);
  };
  auto result = Simulate(std::move(options));
  if (!result.ok()) return result.status();
  outcome.result = *std::move(result);
  outcome.calls = calls;
  return outcome;
}

TEST(Federation, AveragesByTheNumberOfExamples) {
  ASSERT_OK_AND_ASSIGN(const Outcome outcome, RunWith({}, nullptr));
  EXPECT_EQ(outcome.calls, 4 * 3);
  // (1·1 + 2·2 + 3·3 + 4·4) / (1 + 2 + 3 + 4) = 3 a round.
  for (double x : outcome.result.model.As<double>()) EXPECT_EQ(x, 9);
}

TEST(Federation, GoesOnWithoutAClientThatGivesNumbersThatAreNone) {
  ASSERT_OK_AND_ASSIGN(
      const Outcome outcome,
      RunWith({"cohort.quorum=0.75"}, [](const TrainTask&, ParameterVector& w) {
        w.As<double>()[1] = std::numeric_limits<double>::infinity();
        return TrainResult{.examples = 1, .local_steps = 1};
      }));
  ASSERT_EQ(outcome.rounds.size(), 3u);
  for (const RoundReport& round : outcome.rounds) {
    EXPECT_EQ(round.counted.size(), 3u);
    ASSERT_EQ(round.refused.size(), 1u);
    EXPECT_EQ(round.refused[0].client, "client-0004");
    EXPECT_FALSE(round.refused[0].reason.empty());
  }
  // (1 + 4 + 9) / 6 a round.
  for (double x : outcome.result.model.As<double>()) {
    EXPECT_NEAR(x, 3 * 14.0 / 6, 1e-12);
  }
}

TEST(Federation, GoesOnWithoutAClientThatClaimsAnAbsurdWeight) {
  for (double weight :
       {-1.0, 0.0, 1e300, std::numeric_limits<double>::quiet_NaN()}) {
    ASSERT_OK_AND_ASSIGN(const Outcome outcome,
                         RunWith({"cohort.quorum=0.75"},
                                 [weight](const TrainTask&, ParameterVector&) {
                                   return TrainResult{.examples = weight,
                                                      .local_steps = 1};
                                 }));
    for (double x : outcome.result.model.As<double>()) {
      EXPECT_NEAR(x, 3 * 14.0 / 6, 1e-12);
    }
  }
}

TEST(Federation, DoesNotWaitBeyondTheDeadlineForASlowClient) {
  ASSERT_OK_AND_ASSIGN(
      const Outcome outcome,
      RunWith({"cohort.quorum=0.5", "cohort.deadline_seconds=5"},
              [](const TrainTask&, ParameterVector&) {
                // An hour of virtual time.
                return TrainResult{.examples = 1, .local_steps = 3600 * 1000};
              }));
  ASSERT_EQ(outcome.rounds.size(), 3u);
  for (const RoundReport& round : outcome.rounds) {
    EXPECT_EQ(round.counted.size(), 3u);
  }
  for (double x : outcome.result.model.As<double>()) {
    EXPECT_NEAR(x, 3 * 14.0 / 6, 1e-12);
  }
}

TEST(Federation, TooFewAnswersFailTheRunWhereItsFileSaysSo) {
  ASSERT_OK_AND_ASSIGN(
      const Outcome outcome,
      RunWith({"cohort.too_few=FAIL"},
              [](const TrainTask&,
                 ParameterVector&) -> absl::StatusOr<TrainResult> {
                return absl::InternalError("the disk is full");
              }));
  EXPECT_EQ(outcome.result.status.state(), v1::FAILED);
  EXPECT_THAT(outcome.result.status.detail(),
              testing::HasSubstr("too few clients answered"));
}

TEST(Federation, TooFewAnswersSkipTheRoundWhereItsFileSaysSo) {
  ASSERT_OK_AND_ASSIGN(
      const Outcome outcome,
      RunWith({"cohort.too_few=SKIP"},
              [](const TrainTask& task,
                 ParameterVector& w) -> absl::StatusOr<TrainResult> {
                if (task.round == 2) return absl::InternalError("no");
                for (double& x : w.As<double>()) x += 4;
                return TrainResult{.examples = 4, .local_steps = 1};
              }));
  EXPECT_EQ(outcome.result.status.state(), v1::FINISHED);
  for (double x : outcome.result.model.As<double>()) EXPECT_EQ(x, 6);
}

TEST(Federation, WaitsForAClientThatFailsNowAndThen) {
  int tries = 0;
  ASSERT_OK_AND_ASSIGN(
      const Outcome outcome,
      RunWith({},
              [&tries](const TrainTask&,
                       ParameterVector& w) -> absl::StatusOr<TrainResult> {
                if (++tries % 3 != 0) return absl::InternalError("not now");
                for (double& x : w.As<double>()) x += 4;
                return TrainResult{.examples = 4, .local_steps = 1};
              }));
  EXPECT_EQ(outcome.result.status.state(), v1::FINISHED);
  EXPECT_EQ(tries, 9);
  for (double x : outcome.result.model.As<double>()) EXPECT_EQ(x, 9);
}

// ------------------------------------------------------------------- replay

TEST(Federation, AReplayOfWhatCountedGivesTheSameModel) {
  // The first four of six count, by their speed, so the outcome hangs on time.
  SimulatorOptions options = Quiet(
      Config({"cohort.min=6", "cohort.max=4", "cohort.over_selection=0.5"}));
  std::vector<v1::RoundOpened> script;
  options.on_round = [&](const RoundReport& round) {
    EXPECT_EQ(round.counted.size(), 4u);
    EXPECT_EQ(round.asked.size(), 6u);
    v1::RoundOpened opened;
    opened.set_round(round.round);
    for (const std::string& client : round.counted) {
      v1::CohortMember* member = opened.add_cohort();
      member->set_client(client);
      member->set_part(client.back() - '1');
    }
    script.push_back(opened);
  };
  ASSERT_OK_AND_ASSIGN(const auto recorded, Simulate(options));
  ASSERT_EQ(script.size(), 6u);

  SimulatorOptions again = Quiet(
      Config({"cohort.min=6", "cohort.max=4", "cohort.over_selection=0.5"}));
  again.script = script;
  ASSERT_OK_AND_ASSIGN(const auto replayed, Simulate(std::move(again)));
  EXPECT_EQ(replayed.model.Hash(), recorded.model.Hash());

  // Somebody else's update is another model.
  SimulatorOptions other = Quiet(Config());
  script[0].mutable_cohort()->RemoveLast();
  other.script = script;
  ASSERT_OK_AND_ASSIGN(const auto different, Simulate(std::move(other)));
  EXPECT_NE(different.model.Hash(), recorded.model.Hash());
}

}  // namespace
}  // namespace parley
