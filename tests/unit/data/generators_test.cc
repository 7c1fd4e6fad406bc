#include "common/data/generators.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>

#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using Matrix =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <typename T>
Matrix Features(const Examples<T>& e) {
  return Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic,
                                        Eigen::RowMajor>>(e.dense.data(),
                                                          e.rows, e.features)
      .template cast<double>();
}

template <typename T>
Eigen::VectorXd Targets(const Examples<T>& e) {
  return Eigen::Map<const Eigen::Vector<T, Eigen::Dynamic>>(e.target.data(),
                                                            e.rows)
      .template cast<double>();
}

Eigen::VectorXd Vector(const std::vector<double>& v) {
  return Eigen::Map<const Eigen::VectorXd>(v.data(), v.size());
}

TEST(SeparableTest, TheMarginIsAttainedOnBothSides) {
  for (const uint64_t seed : {1, 2, 3}) {
    for (const double margin : {0.1, 2.0}) {
      const SeparableOptions o = {
          .rows = 500, .features = 20, .margin = margin};
      ASSERT_OK_AND_ASSIGN(const auto e, Generate<double>(o, seed, "train"));
      const Eigen::VectorXd u = Vector(SeparableNormal(20, seed));
      EXPECT_NEAR(u.norm(), 1, 1e-12);
      const Eigen::VectorXd along = Features(e) * u;
      const Eigen::VectorXd y = Targets(e);
      for (int i = 0; i < o.rows; ++i) {
        EXPECT_EQ(std::abs(y[i]), 1);
        EXPECT_GE(y[i] * along[i], margin - 1e-12) << i;
      }
      EXPECT_EQ(y[0], 1);
      EXPECT_EQ(y[1], -1);
      EXPECT_NEAR(along[0], margin, 1e-12);
      EXPECT_NEAR(along[1], -margin, 1e-12);
      EXPECT_LT(std::abs(y.mean()), 0.2);
    }
  }
}

TEST(SeparableTest, NoOtherDirectionHasALargerMargin) {
  const SeparableOptions o = {.rows = 100, .features = 8, .margin = 0.5};
  ASSERT_OK_AND_ASSIGN(const auto e, Generate<double>(o, 4, "train"));
  // The two rows at the margin alone forbid one: with z = y·x, the largest
  // margin of a set is the distance of the origin from its hull, which is at
  // most that of their middle.
  const Matrix x = Features(e);
  const Eigen::VectorXd middle = (x.row(0) - x.row(1)) / 2;
  EXPECT_NEAR(middle.norm(), 0.5, 1e-12);
}

TEST(SeparableTest, FloatKeepsTheMarginUpToRounding) {
  const SeparableOptions o = {.rows = 200, .features = 50, .margin = 0.25};
  ASSERT_OK_AND_ASSIGN(const auto e, Generate<float>(o, 9, "train"));
  const Eigen::VectorXd margins =
      (Features(e) * Vector(SeparableNormal(50, 9))).cwiseProduct(Targets(e));
  EXPECT_NEAR(margins.minCoeff(), 0.25, 1e-5);
}

TEST(MixtureTest, ClassesHaveTheirMeansAndNoise) {
  const MixtureOptions o = {.rows = 20000,
                            .features = 6,
                            .classes = 4,
                            .separation = 2.5,
                            .noise = 0.5};
  ASSERT_OK_AND_ASSIGN(const auto e, Generate<double>(o, 3, "train"));
  const Matrix x = Features(e);
  const std::vector<double> centres = MixtureCentres(o, 3);
  for (int c = 0; c < o.classes; ++c) {
    const Eigen::Map<const Eigen::RowVectorXd> centre(&centres[c * 6], 6);
    EXPECT_NEAR(centre.norm(), 2.5, 1e-12);
    Eigen::RowVectorXd mean = Eigen::RowVectorXd::Zero(6);
    double square = 0;
    int n = 0;
    for (int i = 0; i < o.rows; ++i) {
      if (e.target[i] != c) continue;
      mean += x.row(i);
      square += (x.row(i) - centre).squaredNorm();
      ++n;
    }
    // Five standard errors.
    EXPECT_NEAR(n, 5000, 5 * std::sqrt(20000 * 0.25 * 0.75));
    EXPECT_LT((mean / n - centre).cwiseAbs().maxCoeff(),
              5 * 0.5 / std::sqrt(n));
    EXPECT_NEAR(square / (6 * n), 0.25, 5 * 0.25 * std::sqrt(2.0 / (6 * n)));
  }
}

TEST(RegressionTest, LeastSquaresRecoversTheWeights) {
  const RegressionOptions o = {.rows = 4000, .features = 12, .noise = 0.1};
  ASSERT_OK_AND_ASSIGN(const auto e, Generate<double>(o, 8, "train"));
  const Matrix x = Features(e);
  const Eigen::VectorXd t = Targets(e);
  const Eigen::VectorXd w = x.colPivHouseholderQr().solve(t);
  EXPECT_LT((w - Vector(RegressionWeights(12, 8))).cwiseAbs().maxCoeff(),
            5 * 0.1 / std::sqrt(4000.0));
  EXPECT_NEAR((x * w - t).norm() / std::sqrt(4000.0), 0.1, 0.01);
}

template <typename O>
class GeneratorsTest : public testing::Test {
 protected:
  static O Options() {
    O options;
    options.rows = 60;
    options.features = 5;
    return options;
  }
};
using Generators =
    testing::Types<SeparableOptions, MixtureOptions, RegressionOptions>;
TYPED_TEST_SUITE(GeneratorsTest, Generators);

TYPED_TEST(GeneratorsTest, DependOnSeedAndSplitOnly) {
  const TypeParam o = this->Options();
  const auto make = [&](uint64_t seed, const char* split) {
    return *Generate<double>(o, seed, split);
  };
  const Examples<double> e = make(1, "train");
  EXPECT_EQ(e.dense, make(1, "train").dense);
  EXPECT_EQ(e.target, make(1, "train").target);
  EXPECT_NE(e.dense, make(2, "train").dense);
  EXPECT_NE(e.dense, make(1, "test").dense);
}

TYPED_TEST(GeneratorsTest, RowsDoNotDependOnWhichAreKept) {
  const TypeParam o = this->Options();
  ASSERT_OK_AND_ASSIGN(auto all, Generate<float>(o, 1, "train"));
  const std::vector<int64_t> rows = {0, 1, 17, 58};
  ASSERT_OK_AND_ASSIGN(auto some,
                       Generate<float>(o, 1, "train", RowFilter(rows)));
  const Dataset<float> picked = Dataset<float>(std::move(all)).Select(rows);
  EXPECT_EQ(some.dense,
            std::vector<float>(picked.All().dense, picked.All().dense + 4 * 5));
  EXPECT_EQ(absl::MakeConstSpan(some.target), picked.targets());
}

TYPED_TEST(GeneratorsTest, TargetsAloneAreTheSame) {
  const TypeParam o = this->Options();
  ASSERT_OK_AND_ASSIGN(const auto all, Generate<double>(o, 1, "train"));
  ASSERT_OK_AND_ASSIGN(const auto targets, GenerateTargets(o, 1, "train"));
  EXPECT_EQ(targets.features, 5);
  EXPECT_EQ(targets.values, all.target);
}

TYPED_TEST(GeneratorsTest, RefuseShapesOutOfRange) {
  for (const auto& [rows, features] : std::vector<std::pair<int64_t, int64_t>>{
           {0, 5}, {-1, 5}, {5, 0}, {int64_t{1} << 40, 5}, {5, 1LL << 40}}) {
    TypeParam o = this->Options();
    o.rows = rows;
    o.features = features;
    EXPECT_THAT(Generate<float>(o, 1, "train"),
                StatusIs(absl::StatusCode::kInvalidArgument, "allowed: 1 to"));
    EXPECT_THAT(GenerateTargets(o, 1, "train"),
                StatusIs(absl::StatusCode::kInvalidArgument, "allowed: 1 to"));
  }
  TypeParam o = this->Options();
  o.rows = o.features = int64_t{1} << 17;
  EXPECT_THAT(Generate<float>(o, 1, "train"),
              StatusIs(absl::StatusCode::kResourceExhausted, "too many"));
}

TEST(GeneratorOptionsTest, RefuseParametersOutOfRange) {
  const double nan = std::nan("");
  EXPECT_THAT(Generate<float>(SeparableOptions{10, 2, 0}, 1, ""),
              StatusIs(absl::StatusCode::kInvalidArgument, "margin is 0"));
  EXPECT_THAT(Generate<float>(SeparableOptions{10, 2, nan}, 1, ""),
              StatusIs(absl::StatusCode::kInvalidArgument, "margin is nan"));
  EXPECT_THAT(Generate<float>(MixtureOptions{10, 2, 1}, 1, ""),
              StatusIs(absl::StatusCode::kInvalidArgument, "classes is 1"));
  EXPECT_THAT(Generate<float>(MixtureOptions{10, 2, 2, -1}, 1, ""),
              StatusIs(absl::StatusCode::kInvalidArgument, "separation is -1"));
  EXPECT_THAT(Generate<float>(MixtureOptions{10, 2, 2, 1, -1}, 1, ""),
              StatusIs(absl::StatusCode::kInvalidArgument, "noise is -1"));
  EXPECT_THAT(Generate<float>(RegressionOptions{10, 2, -1}, 1, ""),
              StatusIs(absl::StatusCode::kInvalidArgument, "noise is -1"));
}

}  // namespace
}  // namespace parley
