#include "common/analysis/centralized_descent.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/analysis/direction.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/analysis/rows.h"

namespace parley {
namespace {

// Steps on w itself, one number after another.
std::vector<double> Plain(const Dataset<double>& data,
                          const std::vector<double>& weights,
                          std::vector<double> w, MarginLoss loss, double eta,
                          int steps) {
  const Batch<double> all = data.All();
  const size_t d = w.size();
  for (int step = 0; step < steps; ++step) {
    std::vector<double> gradient(d);
    for (int64_t n = 0; n < all.rows; ++n) {
      double m = 0;
      for (size_t j = 0; j < d; ++j) m += w[j] * all.dense[n * d + j];
      m *= all.target[n];
      const double slope = loss == MarginLoss::kExponential
                               ? -std::exp(-m)
                               : -1 / (1 + std::exp(m));
      for (size_t j = 0; j < d; ++j) {
        gradient[j] +=
            weights[n] * slope * all.target[n] * all.dense[n * d + j];
      }
    }
    for (size_t j = 0; j < d; ++j) w[j] -= eta * gradient[j];
  }
  return w;
}

std::vector<double> SomeWeights(int64_t rows) {
  std::vector<double> weights(rows);
  for (int64_t n = 0; n < rows; ++n) {
    weights[n] = (1 + static_cast<double>(n % 3)) / static_cast<double>(rows);
  }
  return weights;
}

void ExpectNear(const std::vector<double>& a, const std::vector<double>& b) {
  ASSERT_EQ(a.size(), b.size());
  const double norm = Norm(b);
  for (size_t j = 0; j < a.size(); ++j) EXPECT_NEAR(a[j], b[j], 1e-12 * norm);
}

TEST(CentralizedDescentTest, AgreesWithAPlainLoop) {
  // Few rows: over the Gram matrix, with margins made anew; many: on w.
  for (const auto& [rows, features] : {std::pair{12, 40}, {40, 6}}) {
    for (const MarginLoss loss :
         {MarginLoss::kLogistic, MarginLoss::kExponential}) {
      const Dataset<double> data = Noise(rows, features, 5);
      const std::vector<double> weights = SomeWeights(rows);
      std::vector<double> start(features);
      for (int j = 0; j < features; ++j) start[j] = 0.01 * j - 0.1;
      CentralizedDescent descent(Signed(data), weights, start, {.loss = loss});
      EXPECT_EQ(descent.w(), start);
      // In pieces: what comes out does not depend on where they end.
      ASSERT_OK(descent.Take(4000, std::log(0.05)));
      ASSERT_OK(descent.Take(1000, std::log(0.05)));
      EXPECT_EQ(descent.steps(), 5000);
      ExpectNear(descent.w(), Plain(data, weights, start, loss, 0.05, 5000));
    }
  }
}

TEST(CentralizedDescentTest, OneRowHasAClosedForm) {
  // z = (3, 4), f = exp(−m): m_{k+1} = m_k + η·25·exp(−m_k); from m = 0 one
  // step of η = 1/25 brings m to 1, the next to 1 + 1/e.
  CentralizedDescent descent(Signed(DenseRows({{3, 4}}, {1})), {1}, {0, 0},
                             {.loss = MarginLoss::kExponential});
  ASSERT_OK(descent.Take(2, std::log(1.0 / 25)));
  const double m = 1 + std::exp(-1);
  ExpectNear(descent.w(), {3 * m / 25, 4 * m / 25});
}

TEST(CentralizedDescentTest, StepsOverAVanishingLossAreWhole) {
  // At margin 1500 the slope is e^−1500; over the loss itself the step is η·z.
  for (const MarginLoss loss :
       {MarginLoss::kLogistic, MarginLoss::kExponential}) {
    CentralizedDescent descent(Signed(DenseRows({{1, 0}}, {1})), {1}, {1500, 0},
                               {.loss = loss});
    ASSERT_OK(descent.Take(1, std::log(0.5) + 1500));
    EXPECT_NEAR(descent.w()[0], 1500.5, 1e-9);
  }
}

TEST(CentralizedDescentTest, BatchesOfAnEpochAreAllRowsOnce) {
  // Rows along axes of their own: a coordinate tells its row's steps.
  for (const bool gram : {true, false}) {
    const int64_t rows = 10;
    std::vector<std::vector<double>> x(rows, std::vector<double>(rows));
    for (int64_t n = 0; n < rows; ++n) x[n][n] = 1;
    const std::vector<double> y(rows, 1);
    const auto data = gram ? DenseRows(x, y) : SparseRows(x, y);
    CentralizedDescent descent(Signed(data), std::vector<double>(rows, 0.1),
                               std::vector<double>(rows),
                               {.batch_rows = 4, .seed = 3});
    // 4 + 4 + 2 rows; a row's step is η·(10/4)·(1/10)·½.
    const double step = 0.125;
    const auto touched = [&](const std::vector<double>& w) {
      return std::count_if(w.begin(), w.end(), [&](double v) {
        return std::abs(v - step) < 1e-15;
      });
    };
    for (const int so_far : {4, 8, 10}) {
      ASSERT_OK(descent.Take(1, 0));
      EXPECT_EQ(touched(descent.w()), so_far);
    }
    const std::vector<double> epoch = descent.w();
    ASSERT_OK(descent.Take(1, 0));
    EXPECT_EQ(touched(descent.w()), 6);  // 4 begin their second epoch
  }
}

TEST(CentralizedDescentTest, BatchesOfAllRowsAreWholeSteps) {
  const Dataset<double> data = Noise(12, 40, 2);
  CentralizedDescent all(Signed(data), SomeWeights(12), std::vector<double>(40),
                         {});
  CentralizedDescent batches(Signed(data), SomeWeights(12),
                             std::vector<double>(40), {.batch_rows = 50});
  ASSERT_OK(all.Take(100, -2));
  ASSERT_OK(batches.Take(100, -2));
  EXPECT_EQ(all.w(), batches.w());
}

TEST(CentralizedDescentTest, StopsWhenTold) {
  CentralizedDescent descent(Signed(Noise(5, 3, 1)),
                             std::vector<double>(5, 0.2),
                             std::vector<double>(3), {});
  int asked = 0;
  EXPECT_THAT(descent.Take(1000, 0, [&] { return ++asked < 10; }),
              StatusIs(absl::StatusCode::kCancelled, ""));
  EXPECT_EQ(descent.steps(), 9);
}

}  // namespace
}  // namespace parley
