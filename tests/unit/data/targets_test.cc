#include "common/data/targets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using testing::ElementsAre;

template <typename T = double>
absl::StatusOr<std::vector<T>> Mapped(TargetKind kind,
                                      const std::vector<double>& all,
                                      std::vector<T> part) {
  PARLEY_ASSIGN_OR_RETURN(const TargetMap map, TargetMap::Create(kind, all));
  PARLEY_RETURN_IF_ERROR(map.Apply(absl::MakeSpan(part)));
  return part;
}

TEST(TargetMapTest, SignsByOrder) {
  const std::vector<std::vector<double>> pairs = {
      {0, 1}, {1, 2}, {-1, 1}, {-0.5, 0.1}, {4, 9}};
  for (const auto& pair : pairs) {
    const std::vector<double> all = {pair[1], pair[0], pair[0], pair[1]};
    ASSERT_OK_AND_ASSIGN(const auto signs, Mapped(TargetKind::kSign, all, all));
    EXPECT_THAT(signs, ElementsAre(1, -1, -1, 1)) << pair[0];
    // A part with one label only, in the other precision.
    const auto low = static_cast<float>(pair[0]);
    ASSERT_OK_AND_ASSIGN(const auto part, Mapped(TargetKind::kSign, all,
                                                 std::vector<float>{low, low}));
    EXPECT_THAT(part, ElementsAre(-1, -1)) << pair[0];
  }
}

TEST(TargetMapTest, ASingleSignMustBeOfTheUsualOnes) {
  const auto one = [](double label) {
    return Mapped(TargetKind::kSign, {label}, std::vector<double>{label});
  };
  EXPECT_THAT(*one(-1), ElementsAre(-1));
  EXPECT_THAT(*one(0), ElementsAre(-1));
  EXPECT_THAT(*one(1), ElementsAre(1));
  EXPECT_THAT(one(2), StatusIs(absl::StatusCode::kInvalidArgument,
                               "the target 2 of row 0"));
}

TEST(TargetMapTest, SignRefusesAThirdLabel) {
  EXPECT_THAT(TargetMap::Create(TargetKind::kSign, {1, -1, 1, 3}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "the target 3 of row 3 (from 0) is a third label"));
}

TEST(TargetMapTest, ClassesStayOrAreRanked) {
  const std::vector<double> plain = {5, 0, 2};
  ASSERT_OK_AND_ASSIGN(const auto stay,
                       TargetMap::Create(TargetKind::kClass, plain));
  EXPECT_EQ(stay.classes(), 6);
  EXPECT_THAT(*Mapped(TargetKind::kClass, plain, plain), ElementsAre(5, 0, 2));

  const std::vector<double> ranked = {3, -7, 40, 3, 2e9};
  ASSERT_OK_AND_ASSIGN(const auto map,
                       TargetMap::Create(TargetKind::kClass, ranked));
  EXPECT_EQ(map.classes(), 4);
  EXPECT_THAT(*Mapped(TargetKind::kClass, ranked, ranked),
              ElementsAre(1, 0, 2, 1, 3));
}

TEST(TargetMapTest, ApplyRefusesLabelsThatItDoesNotKnow) {
  EXPECT_THAT(
      Mapped(TargetKind::kClass, {0, 2}, std::vector<float>{1, 3}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "the target 3 of row 1 (from 0) is none of the classes 0 to 2"));
  EXPECT_THAT(
      Mapped(TargetKind::kClass, {0, 2}, std::vector<float>{0.5}),
      StatusIs(absl::StatusCode::kInvalidArgument, "none of the classes"));
  EXPECT_THAT(Mapped(TargetKind::kClass, {-1, 2}, std::vector<float>{0}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "the training set does not have"));
  EXPECT_THAT(Mapped(TargetKind::kSign, {1, 2}, std::vector<float>{3}),
              StatusIs(absl::StatusCode::kInvalidArgument, "of row 0"));
}

TEST(TargetMapTest, RefusesLabelsThatFallTogetherInThePrecision) {
  const std::vector<double> labels = {-1, 16777216, 16777217};
  EXPECT_OK(Mapped(TargetKind::kClass, labels, labels));
  EXPECT_THAT(Mapped(TargetKind::kClass, labels, std::vector<float>{16777216}),
              StatusIs(absl::StatusCode::kInvalidArgument, "two labels"));
}

TEST(TargetMapTest, RefusesWhatIsNoLabel) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_THAT(TargetMap::Create(TargetKind::kClass, {0, 1.5}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "the target 1.5 of row 1 (from 0) is no integer"));
  for (const TargetKind kind :
       {TargetKind::kReal, TargetKind::kSign, TargetKind::kClass}) {
    EXPECT_THAT(TargetMap::Create(kind, {0, nan}),
                StatusIs(absl::StatusCode::kInvalidArgument, "not finite"));
    EXPECT_THAT(TargetMap::Create(kind, {inf}),
                StatusIs(absl::StatusCode::kInvalidArgument, "not finite"));
    EXPECT_THAT(TargetMap::Create(kind, {}),
                StatusIs(absl::StatusCode::kInvalidArgument, "no rows"));
  }
}

TEST(TargetMapTest, RealTargetsStay) {
  const std::vector<double> real = {0.5, -3, 1e30};
  EXPECT_THAT(*Mapped(TargetKind::kReal, real, real),
              ElementsAre(0.5, -3, 1e30));
}

}  // namespace
}  // namespace parley
