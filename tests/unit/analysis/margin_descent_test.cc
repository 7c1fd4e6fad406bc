#include "common/analysis/margin_descent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "common/analysis/max_margin.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/analysis/rows.h"

namespace parley {
namespace {

// Gradient descent in plain loops and extended precision.
struct Plain {
  std::vector<long double> w;
  long double first_loss = 0, mean_loss = 0;
};
Plain DescendPlainly(const Batch<double>& rows, MarginLoss loss,
                     long double eta, int64_t steps,
                     const std::vector<double>& start) {
  Plain plain;
  plain.w.assign(start.begin(), start.end());
  for (int64_t step = 0; step < steps; ++step) {
    std::vector<long double> gradient(rows.features);
    long double sum = 0;
    for (int64_t i = 0; i < rows.rows; ++i) {
      const double* const x = rows.dense + i * rows.features;
      long double margin = 0;
      for (int64_t j = 0; j < rows.features; ++j) margin += x[j] * plain.w[j];
      margin *= rows.target[i];
      const bool logistic = loss == MarginLoss::kLogistic;
      sum += logistic ? std::log1p(std::exp(-margin)) : std::exp(-margin);
      const long double slope =
          logistic ? -1 / (1 + std::exp(margin)) : -std::exp(-margin);
      for (int64_t j = 0; j < rows.features; ++j) {
        gradient[j] += slope * rows.target[i] * x[j] / rows.rows;
      }
    }
    if (step == 0) plain.first_loss = sum / rows.rows;
    plain.mean_loss += sum / rows.rows / steps;
    for (int64_t j = 0; j < rows.features; ++j) {
      plain.w[j] -= eta * gradient[j];
    }
  }
  return plain;
}

// The distance from what is right, as a share of it.
double Error(absl::Span<const double> got,
             const std::vector<long double>& want) {
  long double error = 0, norm = 0;
  for (size_t j = 0; j < want.size(); ++j) {
    error += (got[j] - want[j]) * (got[j] - want[j]);
    norm += want[j] * want[j];
  }
  return static_cast<double>(std::sqrt(error / norm));
}

TEST(MarginDescentTest, IsGradientDescentWrittenOut) {
  for (const auto& [rows, features] : {std::pair(1, 3), std::pair(7, 40),
                                       std::pair(18, 30), std::pair(50, 6)}) {
    const Dataset<double> data = Noise(rows, features, 11);
    std::vector<double> start(features);
    for (int64_t j = 0; j < features; ++j) start[j] = 0.1 * (j % 5) - 0.2;
    for (const MarginLoss loss :
         {MarginLoss::kLogistic, MarginLoss::kExponential}) {
      for (const int64_t steps : {1, 2, 150}) {
        const double eta = 0.05;
        const Plain want = DescendPlainly(data.All(), loss, eta, steps, start);
        for (const bool in_span : {false, true}) {
          SCOPED_TRACE(absl::StrCat(rows, "x", features, " ", steps, " steps ",
                                    in_span ? "in span" : "on w"));
          MarginDescent descent(Signed(data), loss, in_span);
          for (int again = 0; again < 2; ++again) {
            std::vector<double> w = start;
            ASSERT_OK_AND_ASSIGN(
                const MarginDescentResult got,
                descent.Run(std::log(eta), steps, absl::MakeSpan(w)));
            EXPECT_LT(Error(w, want.w), 1e-13);
            EXPECT_EQ(got.local.steps, steps);
            EXPECT_NEAR(got.local.first_loss / want.first_loss, 1, 1e-14);
            EXPECT_NEAR(got.local.mean_loss / want.mean_loss, 1, 1e-14);
            EXPECT_NEAR(got.log_loss, std::log(want.first_loss), 1e-14);
          }
        }
      }
    }
  }
}

TEST(MarginDescentTest, TakesSparseRowsAsDenseOnes) {
  std::vector<std::vector<double>> x(9, std::vector<double>(20));
  std::vector<double> y(9);
  Rng rng(1, "sparse");
  for (size_t n = 0; n < x.size(); ++n) {
    for (double& v : x[n]) v = rng.Below(2) == 0 ? 0 : rng.Normal();
    y[n] = n % 2 == 0 ? 1 : -1;
  }
  for (const bool in_span : {false, true}) {
    std::vector<double> dense(20), sparse(20);
    MarginDescent of_dense(Signed(DenseRows(x, y)), MarginLoss::kLogistic,
                           in_span);
    MarginDescent of_sparse(Signed(SparseRows(x, y)), MarginLoss::kLogistic,
                            in_span);
    ASSERT_OK(of_dense.Run(0, 30, absl::MakeSpan(dense)));
    ASSERT_OK(of_sparse.Run(0, 30, absl::MakeSpan(sparse)));
    EXPECT_LT(Error(sparse, {dense.begin(), dense.end()}), 1e-14);
  }
}

// Rows whose loss is e^−1800 and a step size of e^1800: as the exponential loss
// has no other scale, the step is that of loss 1 and step size 1.
TEST(MarginDescentTest, StepsWhereLossAndStepSizeAreOutOfRange) {
  const SignedRows rows = Signed(Noise(10, 25, 2));
  const auto svm = FindMaxMargin(rows);
  ASSERT_OK(svm);
  std::vector<double> far = svm->w;
  for (double& v : far) v *= 1800;
  const std::vector<double> margins = rows.Margins(far);
  const double log_loss =
      LogLoss(MarginLoss::kExponential, margins, std::vector<double>(10, 0.1));
  ASSERT_LT(log_loss, -1800);
  for (const MarginLoss loss :
       {MarginLoss::kLogistic, MarginLoss::kExponential}) {
    for (const bool in_span : {false, true}) {
      MarginDescent descent(rows, loss, in_span);
      std::vector<double> w = far;
      ASSERT_OK_AND_ASSIGN(const MarginDescentResult got,
                           descent.Run(-log_loss, 1, absl::MakeSpan(w)));
      EXPECT_NEAR(got.log_loss, log_loss, 1e-9);
      EXPECT_EQ(got.local.mean_loss, 0);  // below what double has
      std::vector<double> want(25);
      for (int64_t n = 0; n < 10; ++n) {
        rows.Add(n, 0.1 * std::exp(-margins[n] - log_loss),
                 absl::MakeSpan(want));
      }
      for (int64_t j = 0; j < 25; ++j) {
        EXPECT_NEAR(w[j] - far[j], want[j], 1e-11);
      }
    }
  }
}

TEST(MarginDescentTest, AsksNowAndThenWhetherToGoOn) {
  for (const bool in_span : {false, true}) {
    MarginDescent descent(Signed(Noise(4, 9, 1)), MarginLoss::kLogistic,
                          in_span);
    std::vector<double> w(9);
    std::vector<int64_t> asked;
    const auto until = [&asked](int64_t done) {
      asked.push_back(done);
      return done < 20000;
    };
    EXPECT_THAT(descent.Run(0, int64_t{1} << 40, absl::MakeSpan(w), until),
                StatusIs(absl::StatusCode::kCancelled, ""));
    EXPECT_EQ(asked.front(), 0);
    EXPECT_GE(asked.back(), 20000);
    EXPECT_LT(asked.back(), 200000);
  }
}

TEST(MarginDescentTest, ChoosesTheSpanWhereRowsAreFewerThanNumbers) {
  EXPECT_TRUE(SpanIsCheaper(Signed(Noise(18, 7129, 1))));
  EXPECT_TRUE(SpanIsCheaper(Signed(Noise(39, 40, 1))));
  EXPECT_FALSE(SpanIsCheaper(Signed(Noise(40, 40, 1))));
  EXPECT_FALSE(
      SpanIsCheaper(Signed(SparseRows({{1, 0, 0}, {0, 1, 0}}, {1, 1}))));
}

// Of zeros, and a step too large: nothing crashes, and it shows.
TEST(MarginDescentTest, ShowsWhatIsNotFinite) {
  for (const bool in_span : {false, true}) {
    MarginDescent descent(Signed(DenseRows({{1, 2, 3}, {0, 0, 0}}, {1, -1})),
                          MarginLoss::kExponential, in_span);
    std::vector<double> w(3);
    ASSERT_OK_AND_ASSIGN(MarginDescentResult got,
                         descent.Run(0, 5, absl::MakeSpan(w)));
    EXPECT_TRUE(std::isfinite(got.local.mean_loss));
    EXPECT_GT(w[0], 0);
    ASSERT_OK_AND_ASSIGN(got, descent.Run(1000, 5, absl::MakeSpan(w)));
    EXPECT_FALSE(std::isfinite(w[0]));
  }
}

}  // namespace
}  // namespace parley
