#include "common/analysis/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/analysis/direction.h"
#include "common/data/generators.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/analysis/rows.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

Reference Find(const SignedRows& rows, const ReferenceOptions& options = {}) {
  auto found = FindReference(
      rows,
      std::vector<double>(rows.rows(), 1.0 / static_cast<double>(rows.rows())),
      options);
  EXPECT_TRUE(found.ok()) << found.status();
  return *std::move(found);
}

TEST(ReferenceTest, OfSeparableDataItIsTheSvm) {
  const SeparableOptions o = {.rows = 50, .features = 5, .margin = 0.2};
  const Reference found =
      Find(Signed(Dataset<double>(*Generate<double>(o, 3, "train"))));
  EXPECT_EQ(found.verdict, Separability::kSeparable);
  EXPECT_NEAR(found.margin, 0.2, 1e-7);
  EXPECT_LT(DirectionGap(found.w, SeparableNormal(5, 3)), 1e-4);
  EXPECT_THAT(ToString(found), HasSubstr("separable with margin 0.2"));
}

TEST(ReferenceTest, OfNoiseItIsTheMinimum) {
  const SignedRows rows = Signed(Noise(100, 5, 1));
  const Reference found = Find(rows);
  EXPECT_EQ(found.verdict, Separability::kNotSeparable);
  EXPECT_LT(found.margin_bound, 1e-11);
  EXPECT_GT(found.loss, 0.3);
  EXPECT_THAT(ToString(found), HasSubstr("not separable by any margin above"));
}

TEST(ReferenceTest, ALabelTurnedMakesSeparableDataNotSo) {
  // Two equal rows of different labels: no margin, and a finite minimum.
  const Reference found = Find(
      Signed(DenseRows({{1, 0}, {1, 0}, {1, 1}, {-1, 1}}, {1, -1, 1, -1})));
  EXPECT_EQ(found.verdict, Separability::kNotSeparable);
}

TEST(ReferenceTest, OneClassAloneHasAnAnswer) {
  // All of one side of the origin.
  EXPECT_EQ(Find(Signed(DenseRows({{1, 2}, {2, 1}}, {1, 1}))).verdict,
            Separability::kSeparable);
  // On both sides of it: one class, and no hyperplane through the origin.
  EXPECT_EQ(
      Find(Signed(DenseRows({{1, 2}, {-2, -4}, {2, 1}, {-1, 0}}, {1, 1, 1, 1})))
          .verdict,
      Separability::kNotSeparable);
}

TEST(ReferenceTest, SaysWhereTheLossHasNoMinimum) {
  // Rows on the line through the origin, and one off it: the loss falls for
  // ever along (0, 1), but no margin is > 0.
  const Reference found =
      Find(Signed(DenseRows({{1, 0}, {-1, 0}, {0, 1}}, {1, 1, 1})));
  EXPECT_EQ(found.verdict, Separability::kNotSeparable);
  EXPECT_LT(found.margin_bound, 1e-9);
  EXPECT_TRUE(found.w.empty());
  EXPECT_NEAR(found.loss, 2.0 / 3 * std::log(2), 1e-6);
  EXPECT_THAT(ToString(found), HasSubstr("not attained"));
}

TEST(ReferenceTest, WithoutTimeItIsUndecided) {
  const SeparableOptions o = {.rows = 500, .features = 20, .margin = 0.01};
  const Reference found =
      Find(Signed(Dataset<double>(*Generate<double>(o, 1, "train"))),
           {.max_margin = {.max_epochs = 1}});
  EXPECT_EQ(found.verdict, Separability::kUndecided);
  EXPECT_TRUE(found.w.empty());
  EXPECT_GE(found.margin_bound, 0.01);
  EXPECT_THAT(ToString(found), HasSubstr("undecided"));
}

TEST(ReferenceTest, ARowOfZerosHasNoMargin) {
  const Reference found = Find(Signed(DenseRows({{1, 1}, {0, 0}}, {1, 1})));
  EXPECT_EQ(found.verdict, Separability::kNotSeparable);
  EXPECT_TRUE(found.w.empty());
}

}  // namespace
}  // namespace parley
