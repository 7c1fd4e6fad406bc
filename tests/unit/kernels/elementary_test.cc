// Activations, softmax and logistic against the standard library in extended
// precision.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/unit/kernels/isa.h"

namespace parley {
namespace {

// |got − want| in units of the last place of want.
template <typename T>
double Ulps(T got, long double want) {
  const long double magnitude =
      std::max<long double>(std::abs(want), std::numeric_limits<T>::min());
  int exponent;
  std::frexp(magnitude, &exponent);
  const long double ulp =
      std::ldexp(1.0L, exponent - std::numeric_limits<T>::digits);
  return static_cast<double>(std::abs(got - want) / ulp);
}

// Numbers of all sizes and both signs.
template <typename T>
std::vector<T> Spread(double largest, Rng& rng) {
  std::vector<T> xs = {T{0}, -T{0}, T(largest), T(-largest)};
  for (double x = 1e-30; x < largest; x *= 1.3) {
    xs.push_back(static_cast<T>(x));
    xs.push_back(static_cast<T>(-x));
  }
  for (int i = 0; i < 20000; ++i) {
    xs.push_back(static_cast<T>(rng.Normal() * 5));
  }
  return xs;
}

template <typename T>
void CheckTanh(const Kernels<T>& k, Rng& rng) {
  const std::vector<T> xs = Spread<T>(1e6, rng);
  std::vector<T> y = xs;
  k.tanh(y.size(), y.data());
  for (size_t i = 0; i < xs.size(); ++i) {
    ASSERT_LE(Ulps(y[i], std::tanh(static_cast<long double>(xs[i]))), 4)
        << xs[i];
    ASSERT_LE(std::abs(y[i]), 1);
    ASSERT_EQ(std::signbit(y[i]), std::signbit(xs[i]));
  }
  std::vector<T> odd = {INFINITY, -INFINITY, NAN};
  k.tanh(3, odd.data());
  EXPECT_EQ(odd[0], 1);
  EXPECT_EQ(odd[1], -1);
  EXPECT_TRUE(std::isnan(odd[2]));

  std::vector<T> gradient(xs.size(), T{2});
  k.tanh_backward(xs.size(), y.data(), gradient.data());
  for (size_t i = 0; i < xs.size(); ++i) {
    ASSERT_NEAR(gradient[i], 2 * (1 - double{y[i]} * y[i]),
                4 * std::numeric_limits<T>::epsilon());
  }
}

TEST_P(IsaTest, TanhIsAccurate) {
  CheckTanh<float>(K<float>(), rng_);
  CheckTanh<double>(K<double>(), rng_);
}

template <typename T>
void CheckRelu(const Kernels<T>& k) {
  std::vector<T> x, gradient;
  for (int i = -20; i <= 20; ++i) {
    x.push_back(static_cast<T>(i));
    gradient.push_back(static_cast<T>(i + 100));
  }
  x.push_back(NAN);
  k.relu(x.size(), x.data());
  k.relu_backward(gradient.size(), x.data(), gradient.data());
  for (int i = -20; i <= 20; ++i) {
    EXPECT_EQ(x[i + 20], std::max(i, 0));
    EXPECT_EQ(gradient[i + 20], i > 0 ? i + 100 : 0);
  }
  EXPECT_TRUE(std::isnan(x.back())) << "a diverged model must show";
}

TEST_P(IsaTest, ReluCutsBelowZero) {
  CheckRelu<float>(K<float>());
  CheckRelu<double>(K<double>());
}

template <typename T>
void CheckLogistic(const Kernels<T>& k, Rng& rng) {
  const std::vector<T> ms = Spread<T>(1e4, rng);
  std::vector<T> loss(ms.size()), slope(ms.size());
  k.logistic(ms.size(), ms.data(), loss.data(), slope.data());
  for (size_t i = 0; i < ms.size(); ++i) {
    const long double m = ms[i];
    const long double want_loss =
        m > 0 ? std::log1p(std::exp(-m)) : -m + std::log1p(std::exp(m));
    const long double want_slope = -1 / (1 + std::exp(m));
    ASSERT_LE(Ulps(loss[i], want_loss), 6) << ms[i];
    ASSERT_LE(Ulps(slope[i], want_slope), 6) << ms[i];
  }
  std::vector<T> odd = {INFINITY, -INFINITY, NAN};
  loss.resize(3);
  slope.resize(3);
  k.logistic(3, odd.data(), loss.data(), slope.data());
  EXPECT_EQ(loss[0], 0);
  EXPECT_EQ(slope[0], 0);
  EXPECT_EQ(loss[1], INFINITY);
  EXPECT_EQ(slope[1], -1);
  EXPECT_TRUE(std::isnan(loss[2]));
  EXPECT_TRUE(std::isnan(slope[2]));
}

TEST_P(IsaTest, LogisticHoldsAtAllMargins) {
  CheckLogistic<float>(K<float>(), rng_);
  CheckLogistic<double>(K<double>(), rng_);
}

// The exponent is rounded before exp: an error of its own units.
template <typename T>
double PullUlps(long double exponent) {
  return 8 + 4 * static_cast<double>(std::abs(exponent));
}

template <typename T>
void CheckPulls(const Kernels<T>& k, Rng& rng) {
  const std::vector<T> ms = Spread<T>(1e4, rng);
  std::vector<T> loss(ms.size()), pull(ms.size());
  for (const T scale : {T{0}, T{-3}, T{50}, T{1800}}) {
    k.logistic(ms.size(), ms.data(), loss.data(), pull.data());
    std::vector<T> same(ms.size());
    k.logistic_pull(ms.size(), scale, ms.data(), same.data(), pull.data());
    EXPECT_EQ(same, loss);
    for (size_t i = 0; i < ms.size(); ++i) {
      const long double m = ms[i];
      const long double softplus =
          std::log1p(std::exp(-std::abs(m))) + std::max(m, 0.0L);
      const T want = static_cast<T>(std::exp(scale - softplus));
      if (!std::isfinite(want)) {
        ASSERT_EQ(pull[i], want) << ms[i];
        continue;
      }
      ASSERT_LE(Ulps(pull[i], std::exp(scale - softplus)),
                PullUlps<T>(std::max<long double>(scale, softplus)))
          << ms[i] << " " << scale;
    }
    k.exponential_pull(ms.size(), scale, ms.data(), loss.data(), pull.data());
    for (size_t i = 0; i < ms.size(); ++i) {
      const long double m = ms[i];
      for (const auto& [got, exponent] :
           {std::pair(loss[i], -m), std::pair(pull[i], scale - m)}) {
        const T want = static_cast<T>(std::exp(exponent));
        if (!std::isfinite(want)) {
          ASSERT_EQ(got, want) << ms[i];
          continue;
        }
        ASSERT_LE(Ulps(got, std::exp(exponent)),
                  PullUlps<T>(std::max<long double>(scale, std::abs(m))))
            << ms[i] << " " << scale;
      }
    }
  }
  std::vector<T> odd = {INFINITY, -INFINITY, NAN};
  loss.resize(3);
  pull.resize(3);
  for (auto* const kernel : {k.logistic_pull, k.exponential_pull}) {
    kernel(3, T{1}, odd.data(), loss.data(), pull.data());
    EXPECT_EQ(loss[0], 0);
    EXPECT_EQ(pull[0], 0);
    EXPECT_EQ(loss[1], INFINITY);
    EXPECT_GT(pull[1], 2);
    EXPECT_TRUE(std::isnan(loss[2]));
    EXPECT_TRUE(std::isnan(pull[2]));
  }
}

TEST_P(IsaTest, PullsHoldWhereTheirFactorsAreOutOfRange) {
  CheckPulls<float>(K<float>(), rng_);
  CheckPulls<double>(K<double>(), rng_);
}

template <typename T>
void CheckSoftmax(const Kernels<T>& k, Rng& rng) {
  constexpr double kEpsilon = std::numeric_limits<T>::epsilon();
  for (int64_t cols : {1, 2, 10, 37, 3000}) {
    for (double scale : {1.0, 1e4}) {
      const int64_t rows = 2300 / cols + 2;
      std::vector<T> x(rows * cols), log_normalizer(rows);
      for (T& v : x) v = static_cast<T>(scale * rng.Normal());
      const std::vector<T> logits = x;
      k.softmax_rows(rows, cols, x.data(), log_normalizer.data());
      for (int64_t r = 0; r < rows; ++r) {
        const T* row = &logits[r * cols];
        const long double max = *std::max_element(row, row + cols);
        long double sum = 0;
        for (int64_t c = 0; c < cols; ++c) sum += std::exp(row[c] - max);
        const double want = static_cast<double>(max + std::log(sum));
        ASSERT_NEAR(log_normalizer[r], want,
                    4 * kEpsilon * (8 + std::abs(want)));
        for (int64_t c = 0; c < cols; ++c) {
          // The difference to the maximum is rounded before exp.
          const long double p = std::exp(row[c] - max) / sum;
          ASSERT_NEAR(x[r * cols + c], static_cast<double>(p),
                      (8 + std::abs(row[c] - max)) * kEpsilon * p * 4 + 1e-40);
        }
      }
    }
  }
}

TEST_P(IsaTest, SoftmaxRowsSumToOne) {
  CheckSoftmax<float>(K<float>(), rng_);
  CheckSoftmax<double>(K<double>(), rng_);
}

}  // namespace
}  // namespace parley
