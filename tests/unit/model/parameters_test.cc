#include "common/model/parameters.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "tests/support/status_matchers.h"

namespace parley {
namespace {

TEST(ParameterSpecTest, LaysTensorsOutOneAfterTheOther) {
  ASSERT_OK_AND_ASSIGN(
      const ParameterSpec spec,
      ParameterSpec::Create(DType::kFloat64,
                            {{"w", {2, 3}},
                             {"scalar", {}, MergeRule::kCopy},
                             {"none", {0, 7}},
                             {"bias.1", {4}, MergeRule::kLocal}}));
  EXPECT_EQ(spec.elements(), 11);
  EXPECT_EQ(spec.bytes(), 88);
  EXPECT_EQ(spec.offset(0), 0);
  EXPECT_EQ(spec.offset(1), 6);
  EXPECT_EQ(spec.offset(2), 7);
  EXPECT_EQ(spec.offset(3), 7);
  EXPECT_EQ(spec.ToString(),
            "float64;w[2,3]mean;scalar[]copy;none[0,7]mean;bias.1[4]local;");
}

// Peers compare it: it must never change.
TEST(ParameterSpecTest, HashIsThatOfTheText) {
  ASSERT_OK_AND_ASSIGN(const ParameterSpec spec,
                       ParameterSpec::Create(DType::kFloat32, {{"w", {2, 3}}}));
  // printf 'float32;w[2,3]mean;' | xxhsum -H3
  EXPECT_EQ(spec.Hash(), 0xac1dc14edc687bb5u);
}

TEST(ParameterSpecTest, HashTellsSpecsApart) {
  const auto hash = [](DType dtype, TensorSpec tensor) {
    return ParameterSpec::Create(dtype, {std::move(tensor)})->Hash();
  };
  const uint64_t base = hash(DType::kFloat32, {"w", {2, 3}});
  EXPECT_EQ(hash(DType::kFloat32, {"w", {2, 3}}), base);
  EXPECT_NE(hash(DType::kFloat64, {"w", {2, 3}}), base);
  EXPECT_NE(hash(DType::kFloat32, {"v", {2, 3}}), base);
  EXPECT_NE(hash(DType::kFloat32, {"w", {3, 2}}), base);
  EXPECT_NE(hash(DType::kFloat32, {"w", {6}}), base);
  EXPECT_NE(hash(DType::kFloat32, {"w", {2, 3}, MergeRule::kLocal}), base);
}

TEST(ParameterSpecTest, RefusesWhatMakesNoSense) {
  const auto create = [](std::vector<TensorSpec> tensors) {
    return ParameterSpec::Create(DType::kFloat32, std::move(tensors));
  };
  const auto code = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(create({{"", {1}}}), StatusIs(code, "has no name"));
  EXPECT_THAT(create({{"w", {1}}, {"w", {2}}}), StatusIs(code, "two tensors"));
  EXPECT_THAT(create({{"w;v[1]mean", {1}}}), StatusIs(code, "letters, digits"));
  EXPECT_THAT(create({{"w\n", {1}}}), StatusIs(code, "'w\\n'"));
  EXPECT_THAT(create({{"w", {2, -1}}}), StatusIs(code, "extent -1"));
  const int64_t huge = std::numeric_limits<int64_t>::max();
  EXPECT_THAT(create({{"w", {huge, huge, 0}}}), StatusIs(code, "2^40"));
  EXPECT_THAT(create({{"w", {huge}}}), StatusIs(code, "2^40"));
  EXPECT_THAT(create({{"v", {int64_t{1} << 40}}, {"w", {1}}}),
              StatusIs(code, "2^40"));
  EXPECT_OK(create({{"v", {int64_t{1} << 40}}}));
  EXPECT_OK(create({}));
}

TEST(ParameterVectorTest, IsAlignedAndZeroAndClones) {
  for (int64_t n : {1, 3, 16, 1001, 3 << 20}) {  // and mapped
    ParameterVector v(DType::kFloat32, n);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(v.data()) % 64, 0u);
    EXPECT_EQ(v.bytes(), 4 * n);
    for (float x : v.As<float>()) EXPECT_EQ(x, 0);
    v.As<float>()[n - 1] = 2.5f;
    const ParameterVector copy = v.Clone();
    EXPECT_EQ(copy.Hash(), v.Hash());
    v.As<float>()[n - 1] = 3;
    EXPECT_EQ(copy.As<float>()[n - 1], 2.5f);
    EXPECT_NE(copy.Hash(), v.Hash());
  }
  const ParameterVector none;
  EXPECT_EQ(none.elements(), 0);
  EXPECT_TRUE(none.As<double>().empty());
  EXPECT_EQ(none.Hash(), ParameterVector(DType::kFloat64, 0).Clone().Hash());
}

TEST(ParameterVectorTest, FindsWhatIsNotFinite) {
  for (double bad : {std::nan(""), double{INFINITY}, -double{INFINITY}}) {
    ParameterVector f(DType::kFloat32, 100), d(DType::kFloat64, 100);
    EXPECT_TRUE(f.AllFinite() && d.AllFinite());
    f.As<float>()[99] = static_cast<float>(bad);
    d.As<double>()[0] = bad;
    EXPECT_FALSE(f.AllFinite() || d.AllFinite());
  }
}

TEST(ParameterVectorDeathTest, AsAnotherTypeIsAProgrammersError) {
  ParameterVector v(DType::kFloat32, 4);
  EXPECT_DEATH(v.As<double>(), "check failed");
}

}  // namespace
}  // namespace parley
