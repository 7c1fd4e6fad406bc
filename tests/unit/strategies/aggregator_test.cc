#include "server/strategies/aggregator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/unit/strategies/updates.h"

namespace parley {
namespace {

using ::testing::ElementsAre;

std::unique_ptr<Strategy> FedAvg() {
  return *MakeStrategy([] {
    v1::Aggregation config;
    config.mutable_fed_avg();
    return config;
  }());
}

TEST(Aggregator, WeightsByExamplesInEveryEncoding) {
  const int64_t n = 100003;
  const auto strategy = FedAvg();
  ThreadPool pool(3);
  for (v1::Encoding encoding :
       {v1::ENCODING_FLOAT64, v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16}) {
    std::vector<TestUpdate> updates;
    for (int k = 0; k < 5; ++k) {
      updates.emplace_back(RandomValues(k, n), 10 * k + 3, encoding);
    }
    Aggregator aggregator(strategy.get(), OneTensor(n), &pool);
    for (const TestUpdate& u : updates)
      aggregator.Accumulate(u.View(aggregator));
    EXPECT_EQ(aggregator.count(), 5);
    EXPECT_EQ(aggregator.weight(), 3 + 13 + 23 + 33 + 43);
    const std::vector<double> got = Collect(aggregator, n);
    for (int64_t i = 0; i < n; ++i) {
      double sum = 0;  // exact: sixty-fourths times small integers
      for (const TestUpdate& u : updates) sum += u.weight() * u[i];
      ASSERT_EQ(got[i], sum / 115) << i << " " << v1::Encoding_Name(encoding);
    }
  }
}

TEST(Aggregator, NeitherThreadsNorSettlingChangeABit) {
  const int64_t n = 200001;
  const auto strategy = FedAvg();
  const ParameterSpec spec = *ParameterSpec::Create(
      DType::kFloat32, {{"odd", {5}, MergeRule::kMean},
                        {"count", {3}, MergeRule::kCopy},
                        {"rest", {n - 8}, MergeRule::kMean}});
  std::vector<TestUpdate> updates;
  for (int k = 0; k < 4; ++k) {
    Rng rng(k, "bits");
    std::vector<double> values(n);
    for (double& value : values) value = rng.Normal();
    updates.emplace_back(std::move(values), 1 + k / 3.0);
  }
  std::vector<std::vector<double>> results;
  for (int threads : {0, 1, 2, 4}) {
    std::unique_ptr<ThreadPool> pool;
    if (threads > 0) pool = std::make_unique<ThreadPool>(threads);
    Aggregator aggregator(strategy.get(), spec, pool.get());
    for (int settle_every : {100, 4, 3, 2, 1}) {
      for (int k = 0; k < 4; ++k) {
        aggregator.Accumulate(updates[k].View(aggregator));
        if ((k + 1) % settle_every == 0) aggregator.Settle();
      }
      results.push_back(Collect(aggregator, n));
    }
  }
  for (const auto& result : results) EXPECT_EQ(result, results[0]);
}

TEST(Aggregator, AlreadyWeightedCountsTheSame) {
  const auto strategy = FedAvg();
  Aggregator aggregator(strategy.get(), OneTensor(2), nullptr);
  const TestUpdate plain({1, 2}, 49);
  const TestUpdate weighted({3 * 7, -7}, 7, v1::ENCODING_FLOAT64, true);
  aggregator.Accumulate(plain.View(aggregator));
  aggregator.Accumulate(weighted.View(aggregator));
  EXPECT_THAT(Collect(aggregator, 2),
              ElementsAre((49 * 1 + 7 * 3) / 56.0, (49 * 2 - 7) / 56.0));
}

TEST(Aggregator, CopyTakesTheFirstClientsValueForEveryStrategy) {
  const ParameterSpec spec = *ParameterSpec::Create(
      DType::kFloat64,
      {{"w", {1}, MergeRule::kMean}, {"steps", {}, MergeRule::kCopy}});
  for (int kind = 0; kind < 4; ++kind) {
    v1::Aggregation config;
    if (kind == 0) config.mutable_fed_avg();
    if (kind == 1) config.mutable_uniform();
    if (kind == 2) config.mutable_median();
    if (kind == 3) config.mutable_trimmed_mean()->set_trim(0.25);
    ASSERT_OK_AND_ASSIGN(const auto strategy, MakeStrategy(config));
    Aggregator aggregator(strategy.get(), spec, nullptr);
    const TestUpdate a({1, 7 * 5}, 5, v1::ENCODING_FLOAT64, true);
    const TestUpdate b({3, 9}, 5);
    aggregator.Accumulate(a.View(aggregator));
    aggregator.Accumulate(b.View(aggregator));
    std::vector<MergeRule> rules;
    double copied = 0;
    aggregator.Report([&](MergeRule rule, int64_t, absl::Span<double> change) {
      rules.push_back(rule);
      if (rule == MergeRule::kCopy) copied = change[0];
    });
    EXPECT_THAT(rules, ElementsAre(MergeRule::kMean, MergeRule::kCopy));
    EXPECT_EQ(copied, 7) << kind;
  }
}

TEST(Aggregator, MergesPartialAggregates) {
  const auto strategy = FedAvg();
  const int64_t n = 1000;
  Aggregator whole(strategy.get(), OneTensor(n), nullptr);
  Aggregator left(strategy.get(), OneTensor(n), nullptr);
  Aggregator right(strategy.get(), OneTensor(n), nullptr);
  std::vector<TestUpdate> updates;
  for (int k = 0; k < 6; ++k) updates.emplace_back(RandomValues(k, n), k + 1);
  for (int k = 0; k < 6; ++k) {
    whole.Accumulate(updates[k].View(whole));
    (k < 2 ? left : right).Accumulate(updates[k].View(whole));
  }
  left.MergeWith(std::move(right));
  EXPECT_EQ(left.weight(), whole.weight());
  EXPECT_EQ(left.count(), 6);
  EXPECT_EQ(Collect(left, n), Collect(whole, n));
}

TEST(Aggregator, IsEmptyAfterReportAndAfterReset) {
  const auto strategy = FedAvg();
  Aggregator aggregator(strategy.get(), OneTensor(3), nullptr);
  const TestUpdate big({5, 5, 5}, 9), small({1, 2, 3}, 1);
  aggregator.Accumulate(big.View(aggregator));
  Collect(aggregator, 3);
  EXPECT_EQ(aggregator.count(), 0);
  aggregator.Accumulate(big.View(aggregator));
  aggregator.Settle();
  aggregator.Accumulate(big.View(aggregator));
  aggregator.Reset();
  aggregator.Accumulate(small.View(aggregator));
  EXPECT_THAT(Collect(aggregator, 3), ElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace parley
