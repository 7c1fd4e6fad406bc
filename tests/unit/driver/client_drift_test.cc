#include "server/round/client_drift.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "common/analysis/direction.h"
#include "common/base/random.h"

namespace parley {
namespace {

using ::testing::IsEmpty;

UpdateView View(const std::vector<double>& change, double weight,
                double divisor = 1) {
  return {.encoding = v1::ENCODING_FLOAT64,
          .data = reinterpret_cast<const char*>(change.data()),
          .weight = weight,
          .divisor = divisor};
}

TEST(ClientDrift, IsTheSpreadOfTheChangesAroundTheirMean) {
  constexpr int kFeatures = 50, kClients = 7;
  Rng rng(4, "changes");
  std::vector<std::vector<double>> changes(kClients);
  std::vector<double> weights, model, reference;
  for (int j = 0; j < kFeatures; ++j) {
    model.push_back(rng.Normal());
    reference.push_back(rng.Normal());
  }
  for (auto& change : changes) {
    weights.push_back(0.5 + rng.Uniform());
    for (int j = 0; j < kFeatures; ++j) change.push_back(rng.Normal());
  }
  // By the definition, in two passes.
  double all = 0, squares = 0;
  std::vector<double> mean(kFeatures), gaps;
  for (int i = 0; i < kClients; ++i) all += weights[i];
  for (int i = 0; i < kClients; ++i) {
    for (int j = 0; j < kFeatures; ++j) {
      mean[j] += weights[i] / all * changes[i][j];
    }
  }
  for (int i = 0; i < kClients; ++i) {
    std::vector<double> own = model;
    for (int j = 0; j < kFeatures; ++j) {
      squares += weights[i] / all * std::pow(changes[i][j] - mean[j], 2);
      own[j] += changes[i][j];
    }
    gaps.push_back(DirectionGap(own, reference));
  }
  std::sort(gaps.begin(), gaps.end());

  ClientDrift drift(reference);
  for (int again = 0; again < 2; ++again) {
    EXPECT_THAT(drift.Numbers(), IsEmpty());
    for (int i = 0; i < kClients; ++i) {
      // What a client has multiplied by its weight is divided by it again.
      std::vector<double> sent = changes[i];
      for (double& x : sent) x *= 4;
      drift.Add(View(sent, weights[i], 4), model);
    }
    const std::map<std::string, double> numbers = drift.Numbers();
    EXPECT_NEAR(numbers.at("drift"), std::sqrt(squares), 1e-13);
    EXPECT_NEAR(numbers.at("drift_share"), std::sqrt(squares) / Norm(mean),
                1e-12);
    EXPECT_NEAR(numbers.at("client_gap_min"), gaps[0], 1e-13);
    EXPECT_NEAR(numbers.at("client_gap_median"), gaps[3], 1e-13);
    EXPECT_NEAR(numbers.at("client_gap_max"), gaps[6], 1e-13);
    drift.Clear();
  }
}

TEST(ClientDrift, SmallDriftDoesNotDrownInLargeChanges) {
  // ±1e-9 around 1: a difference of sums of squares would be all rounding.
  const std::vector<double> a = {1 + 1e-9}, b = {1 - 1e-9}, model = {0};
  ClientDrift drift({});
  drift.Add(View(a, 1), model);
  drift.Add(View(b, 1), model);
  const std::map<std::string, double> numbers = drift.Numbers();
  EXPECT_NEAR(numbers.at("drift"), 1e-9, 1e-15);
  EXPECT_FALSE(numbers.contains("client_gap_min"));  // no reference
}

}  // namespace
}  // namespace parley
