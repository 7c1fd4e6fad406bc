#include "server/strategies/strategy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/status_matchers.h"
#include "tests/unit/strategies/updates.h"

namespace parley {
namespace {

using ::testing::ElementsAre;

v1::Aggregation Median() {
  v1::Aggregation config;
  config.mutable_median();
  return config;
}
v1::Aggregation Trimmed(double trim) {
  v1::Aggregation config;
  config.mutable_trimmed_mean()->set_trim(trim);
  return config;
}

// The aggregate of scalars, one a client.
double OfScalars(const v1::Aggregation& config, std::vector<double> values) {
  const auto strategy = *MakeStrategy(config);
  Aggregator aggregator(strategy.get(), OneTensor(1), nullptr);
  std::vector<TestUpdate> updates;
  for (size_t k = 0; k < values.size(); ++k) {
    updates.emplace_back(std::vector<double>{values[k]}, k + 1.0);
  }
  for (const TestUpdate& u : updates) aggregator.Accumulate(u.View(aggregator));
  return Collect(aggregator, 1)[0];
}

TEST(Strategy, UniformIgnoresWeights) {
  v1::Aggregation config;
  config.mutable_uniform();
  EXPECT_EQ(OfScalars(config, {1, 2, 6}), 3);
}

TEST(Strategy, UniformUndoesAWeightThatIsInTheNumbers) {
  v1::Aggregation config;
  config.mutable_uniform();
  const auto strategy = *MakeStrategy(config);
  Aggregator aggregator(strategy.get(), OneTensor(1), nullptr);
  const TestUpdate a({8 * 3}, 8, v1::ENCODING_FLOAT64, true), b({5}, 2);
  aggregator.Accumulate(a.View(aggregator));
  aggregator.Accumulate(b.View(aggregator));
  EXPECT_EQ(Collect(aggregator, 1)[0], 4);
}

TEST(Strategy, MedianOfOddAndEvenCounts) {
  EXPECT_EQ(OfScalars(Median(), {9}), 9);
  EXPECT_EQ(OfScalars(Median(), {5, 1, 100}), 5);
  EXPECT_EQ(OfScalars(Median(), {5, 1, 100, 8}), 6.5);
  EXPECT_EQ(OfScalars(Median(), {4, 1}), 2.5);
}

TEST(Strategy, TrimmedMeanCutsTheFloorAtEachEnd) {
  EXPECT_EQ(OfScalars(Trimmed(0.2), {1, 2, 3, 4, 1000}), 3);     // 1 each
  EXPECT_EQ(OfScalars(Trimmed(0.19), {1, 2, 3, 4, 1000}), 202);  // 0 each
  EXPECT_EQ(OfScalars(Trimmed(0.49), {1, 5, 1000}), 5);
  EXPECT_EQ(OfScalars(Trimmed(0), {1, 5}), 3);
  // 0.29 · 100 is 28.999... in binary and means 29.
  std::vector<double> values(100, 1);
  std::fill(values.begin(), values.begin() + 29, -1e6);
  EXPECT_EQ(OfScalars(Trimmed(0.29), values), 1);
}

TEST(Strategy, CombinersAgreeWithANaiveCalculationOnAnyThreads) {
  const int64_t n = 30011;
  std::vector<TestUpdate> updates;
  for (int k = 0; k < 14; ++k) {
    updates.emplace_back(RandomValues(100 + k, n), 1, v1::ENCODING_FLOAT32);
  }
  for (bool median : {true, false}) {
    const auto strategy = *MakeStrategy(median ? Median() : Trimmed(0.25));
    for (int threads : {1, 4}) {
      ThreadPool pool(threads);
      Aggregator aggregator(strategy.get(), OneTensor(n), &pool);
      for (const TestUpdate& u : updates) {
        aggregator.Accumulate(u.View(aggregator));
      }
      const std::vector<double> got = Collect(aggregator, n);
      for (int64_t i = 0; i < n; ++i) {
        std::vector<double> column;
        for (const TestUpdate& u : updates) column.push_back(u[i]);
        std::sort(column.begin(), column.end());
        double mean = 0;  // of 3..10: floor(14/4) = 3 cut at each end
        for (int k = 3; k < 11; ++k) mean += column[k] / 8;
        ASSERT_EQ(got[i], median ? (column[6] + column[7]) / 2 : mean) << i;
      }
    }
  }
}

TEST(Strategy, OrderOfUpdatesDoesNotMatterToCombiners) {
  for (const v1::Aggregation& config : {Median(), Trimmed(0.2)}) {
    EXPECT_EQ(OfScalars(config, {0.1, 0.7, 1e9, 0.3, 0.2, -4}),
              OfScalars(config, {-4, 1e9, 0.2, 0.1, 0.3, 0.7}));
  }
}

TEST(Strategy, UnknownCustomNameListsTheKnownOnes) {
  v1::Aggregation config;
  config.mutable_custom()->set_name("krum");
  EXPECT_THAT(MakeStrategy(config).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "fed_avg, median, trimmed_mean, uniform"));
  EXPECT_THAT(StrategyNames(),
              ElementsAre("fed_avg", "median", "trimmed_mean", "uniform"));
}

TEST(StrategyTable, HasThoseFromOutsideByName) {
  std::map<std::string, std::string> seen;
  const CustomStrategy custom[] = {
      {"other", nullptr},
      {"mine", [&](const auto& params) -> StrategyOr {
         seen = params;
         return absl::InvalidArgumentError("as told");
       }}};
  v1::Aggregation config;
  config.mutable_custom()->set_name("mine");
  (*config.mutable_custom()->mutable_params())["power"] = "2";
  EXPECT_THAT(MakeStrategy(config, custom),
              StatusIs(absl::StatusCode::kInvalidArgument, "as told"));
  EXPECT_EQ(seen, (std::map<std::string, std::string>{{"power", "2"}}));
  // A name of the table is no custom one: it has a field of its own.
  config.mutable_custom()->set_name("median");
  EXPECT_THAT(MakeStrategy(config, custom),
              StatusIs(absl::StatusCode::kInvalidArgument, "other, mine"));
}

}  // namespace
}  // namespace parley
