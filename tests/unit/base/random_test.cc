#include "common/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace parley {
namespace {

TEST(Rng, DependsOnEachPartOfItsKeyAndNothingElse) {
  const auto first = [](uint64_t seed, const char* who, int64_t round,
                        const char* purpose) {
    return Rng(seed, who, round, purpose).Next();
  };
  EXPECT_EQ(first(1, "a", 2, "p"), first(1, "a", 2, "p"));
  const std::set<uint64_t> distinct = {
      first(1, "a", 2, "p"), first(2, "a", 2, "p"), first(1, "b", 2, "p"),
      first(1, "a", 3, "p"), first(1, "a", 2, "q"), first(1, "", 2, "ap")};
  EXPECT_EQ(distinct.size(), 6u);
}

TEST(Rng, BelowIsUniform) {
  Rng rng(1, "below");
  constexpr int kBins = 7, kDraws = 70000;
  int counts[kBins] = {};
  for (int i = 0; i < kDraws; ++i) ++counts[rng.Below(kBins)];
  double chi2 = 0;
  for (int c : counts)
    chi2 += std::pow(c - kDraws / kBins, 2) / (kDraws / kBins);
  EXPECT_LT(chi2, 22.5);  // 99.9 % of chi-squared with 6 degrees of freedom
}

TEST(Rng, NormalHasItsMoments) {
  Rng rng(1, "normal");
  constexpr int kDraws = 200000;
  double m1 = 0, m2 = 0, m4 = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.Normal();
    m1 += x;
    m2 += x * x;
    m4 += x * x * x * x;
  }
  EXPECT_NEAR(m1 / kDraws, 0, 0.01);
  EXPECT_NEAR(m2 / kDraws, 1, 0.02);
  EXPECT_NEAR(m4 / kDraws, 3, 0.15);
}

TEST(Rng, GammaHasItsMoments) {
  for (double shape : {0.1, 0.3, 1.0, 4.5}) {
    Rng rng(1, "gamma");
    constexpr int kDraws = 200000;
    double m1 = 0, m2 = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double x = rng.Gamma(shape);
      m1 += x;
      m2 += x * x;
    }
    m1 /= kDraws;
    EXPECT_NEAR(m1 / shape, 1, 0.03) << shape;
    EXPECT_NEAR((m2 / kDraws - m1 * m1) / shape, 1, 0.1) << shape;
  }
}

TEST(Rng, LogGammaOfATinyShapeIsFinite) {
  Rng rng(1, "tiny");
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(std::isfinite(rng.LogGamma(1e-6)));
  }
}

TEST(Rng, SampleDrawsDistinctNumbers) {
  Rng rng(1, "sample");
  for (int64_t n : {1, 10, 1000000}) {
    const int64_t count = std::min<int64_t>(n, 10);
    const auto drawn = rng.Sample(n, count);
    EXPECT_EQ(std::set<int64_t>(drawn.begin(), drawn.end()).size(),
              static_cast<size_t>(count));
    for (int64_t i : drawn) EXPECT_TRUE(i >= 0 && i < n);
  }
}

}  // namespace
}  // namespace parley
