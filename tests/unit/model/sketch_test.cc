#include "common/model/sketch.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/base/random.h"

namespace parley {
namespace {

ParameterVector Normals(int64_t n, absl::string_view purpose) {
  ParameterVector x(DType::kFloat64, n);
  Rng rng(1, purpose);
  for (double& v : x.As<double>()) v = rng.Normal();
  return x;
}

double SquaredNorm(absl::Span<const double> x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return sum;
}

TEST(SketchTest, TellsTheSquaredNormWithoutBias) {
  constexpr int kNumbers = 64, kSeeds = 4000;
  const ParameterVector x = Normals(300, "x");
  const double truth = SquaredNorm(x.As<double>());
  double sum = 0, squares = 0;
  for (int seed = 0; seed < kSeeds; ++seed) {
    const double told = SquaredNorm(SketchOf(x, 300, seed, kNumbers)) / truth;
    sum += told;
    squares += told * told;
  }
  const double mean = sum / kSeeds;
  const double deviation = std::sqrt(squares / kSeeds - mean * mean);
  EXPECT_NEAR(mean, 1, 4 * deviation / std::sqrt(kSeeds));
  EXPECT_LT(deviation, std::sqrt(2.0 / kNumbers) * 1.1);
}

TEST(SketchTest, IsLinearAndTakesTheFirstElementsAlone) {
  const ParameterVector x = Normals(100, "x"), y = Normals(100, "y");
  ParameterVector z(DType::kFloat64, 100);
  for (int i = 0; i < 100; ++i) {
    z.As<double>()[i] = x.As<double>()[i] - 2 * y.As<double>()[i];
  }
  const auto a = SketchOf(x, 100, 7, 8), b = SketchOf(y, 100, 7, 8),
             c = SketchOf(z, 100, 7, 8);
  for (int i = 0; i < 8; ++i) EXPECT_NEAR(c[i], a[i] - 2 * b[i], 1e-12);
  ParameterVector longer(DType::kFloat64, 150);
  for (int i = 0; i < 150; ++i) {
    longer.As<double>()[i] = i < 100 ? x.As<double>()[i] : 9;
  }
  EXPECT_EQ(SketchOf(longer, 100, 7, 8), a);
  EXPECT_NE(SketchOf(x, 100, 8, 8), a);
}

}  // namespace
}  // namespace parley
