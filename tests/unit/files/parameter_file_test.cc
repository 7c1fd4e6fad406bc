#include "common/files/parameter_file.h"

#include <unistd.h>

#include <limits>

#include "tests/support/status_matchers.h"
#include "tests/unit/files/files_testing.h"

namespace parley {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class ParameterFileTest : public testing::TestWithParam<const char*> {
 protected:
  std::string Path(const std::string& name = "model") {
    return NewPath(name + GetParam());
  }
  // Of one tensor "w" of two numbers.
  std::string SaveTwo(DType dtype, double first, double second) {
    const auto spec = *ParameterSpec::Create(dtype, {{"w", {2}}});
    ParameterVector values(dtype, 2);
    if (dtype == DType::kFloat32) {
      values.As<float>()[0] = static_cast<float>(first);
      values.As<float>()[1] = static_cast<float>(second);
    } else {
      values.As<double>()[0] = first;
      values.As<double>()[1] = second;
    }
    const std::string path = Path("two");
    EXPECT_OK(SaveParameters(path, spec, values));
    return path;
  }
};

TEST_P(ParameterFileTest, ReadsBackWhatItWrote) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    const ParameterSpec spec = ExampleSpec(dtype);
    const ParameterVector values = ExampleValues(spec);
    const std::string path = Path();
    ASSERT_OK(SaveParameters(path, spec, values));
    ASSERT_OK_AND_ASSIGN(const NamedParameters read, ReadParameters(path));
    EXPECT_EQ(read.spec, spec);
    EXPECT_TRUE(SameBytes(read.values, values));
    ASSERT_OK_AND_ASSIGN(const ParameterVector loaded,
                         LoadParameters(path, spec));
    EXPECT_TRUE(SameBytes(loaded, values));
    EXPECT_NE(access((path + ".part").c_str(), F_OK), 0);
  }
}

TEST_P(ParameterFileTest, AModelWithoutTensors) {
  const ParameterSpec spec;
  const std::string path = Path();
  ASSERT_OK(SaveParameters(path, spec, ParameterVector()));
  ASSERT_OK_AND_ASSIGN(const NamedParameters read, ReadParameters(path));
  EXPECT_TRUE(read.spec.tensors().empty());
}

TEST_P(ParameterFileTest, LoadsInTheOrderAndTypeOfTheModel) {
  const ParameterSpec spec = ExampleSpec(DType::kFloat32);
  const ParameterVector values = ExampleValues(spec);
  const std::string path = Path();
  ASSERT_OK(SaveParameters(path, spec, values));

  std::vector<TensorSpec> reversed(spec.tensors().rbegin(),
                                   spec.tensors().rend());
  reversed[0].merge = MergeRule::kCopy;
  ASSERT_OK_AND_ASSIGN(const ParameterSpec expected,
                       ParameterSpec::Create(DType::kFloat64, reversed));
  ASSERT_OK_AND_ASSIGN(const ParameterVector loaded,
                       LoadParameters(path, expected));
  const size_t count = spec.tensors().size();
  for (size_t i = 0; i < count; ++i) {
    for (int64_t k = 0; k < spec.tensors()[i].elements(); ++k) {
      EXPECT_EQ(loaded.As<double>()[expected.offset(count - 1 - i) + k],
                values.As<float>()[spec.offset(i) + k]);
    }
  }
}

TEST_P(ParameterFileTest, PassesOverWhatItIsTold) {
  const std::string path = Path();
  const auto both =
      *ParameterSpec::Create(DType::kFloat32, {{"own", {3}}, {"shared", {2}}});
  ASSERT_OK(SaveParameters(path, both, ExampleValues(both)));
  const auto shared =
      *ParameterSpec::Create(DType::kFloat32, {{"shared", {2}}});
  EXPECT_THAT(LoadParameters(path, shared),
              StatusIs(kInvalid, "\"own\" [3] is not of the model"));
  ASSERT_OK_AND_ASSIGN(const ParameterVector loaded,
                       LoadParameters(path, shared, both.tensors()));
  EXPECT_EQ(loaded.As<float>()[1], ExampleValues(both).As<float>()[4]);
}

TEST_P(ParameterFileTest, RoundsToFloat32) {
  const std::string path = SaveTwo(DType::kFloat64, 0.1, -1e30);
  const auto spec = *ParameterSpec::Create(DType::kFloat32, {{"w", {2}}});
  ASSERT_OK_AND_ASSIGN(const ParameterVector loaded,
                       LoadParameters(path, spec));
  EXPECT_EQ(loaded.As<float>()[0], 0.1f);
  EXPECT_EQ(loaded.As<float>()[1], -1e30f);
}

TEST_P(ParameterFileTest, ConvertsMoreThanOneBlock) {
  const auto wide = *ParameterSpec::Create(DType::kFloat64, {{"w", {100003}}});
  const auto narrow =
      *ParameterSpec::Create(DType::kFloat32, {{"w", {100003}}});
  const ParameterVector values = ExampleValues(wide);
  const std::string path = Path();
  ASSERT_OK(SaveParameters(path, wide, values));
  ASSERT_OK_AND_ASSIGN(const ParameterVector loaded,
                       LoadParameters(path, narrow));
  for (int64_t i = 0; i < wide.elements(); ++i) {
    ASSERT_EQ(loaded.As<float>()[i],
              static_cast<float>(values.As<double>()[i]));
  }
}

TEST_P(ParameterFileTest, TellsAllThatDoesNotFitAtOnce) {
  const std::string path = Path();
  const ParameterSpec spec = ExampleSpec(DType::kFloat32);
  ASSERT_OK(SaveParameters(path, spec, ExampleValues(spec)));
  const auto expected =
      *ParameterSpec::Create(DType::kFloat32, {{"layer0/weight", {5, 3}},
                                               {"layer1/weight", {5, 2}},
                                               {"empty", {0, 4}},
                                               {"temperature", {}},
                                               {"cube", {2, 3, 4}}});
  const auto loaded = LoadParameters(path, expected);
  EXPECT_THAT(loaded, StatusIs(kInvalid, path));
  EXPECT_THAT(loaded, StatusIs(kInvalid,
                               "\"layer0/weight\" is [3,5], the "
                               "model's is [5,3]"));
  EXPECT_THAT(loaded, StatusIs(kInvalid, "\"layer1/weight\" [5,2] is missing"));
  EXPECT_THAT(loaded,
              StatusIs(kInvalid, "\"layer0/bias\" [5] is not of the model"));
}

TEST_P(ParameterFileTest, RefusesNumbersThatAreNotFinite) {
  const auto spec = *ParameterSpec::Create(DType::kFloat32, {{"w", {2}}});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(LoadParameters(SaveTwo(DType::kFloat32, 1, nan), spec),
              StatusIs(kInvalid, "\"w\" has numbers that are not finite"));
  EXPECT_THAT(LoadParameters(SaveTwo(DType::kFloat64, 1e39, 1), spec),
              StatusIs(kInvalid, "not finite as float32"));
}

TEST_P(ParameterFileTest, ReplacesAFileWholeOrNotAtAll) {
  const std::string path = SaveTwo(DType::kFloat32, 1, 2);
  const std::string before = ReadBytes(path);
  const auto spec =
      *ParameterSpec::Create(DType::kFloat32, {{"__metadata__", {1}}});
  const bool npz = std::string(GetParam()) == ".npz";
  EXPECT_EQ(
      SaveParameters(path, spec, ParameterVector(DType::kFloat32, 1)).ok(),
      npz);
  EXPECT_EQ(ReadBytes(path) == before, !npz);
  EXPECT_NE(access((path + ".part").c_str(), F_OK), 0);
}

// Whatever is cut off or flipped: an error or some numbers, never a crash.
TEST_P(ParameterFileTest, SurvivesDamage) {
  const auto spec = *ParameterSpec::Create(
      DType::kFloat32, {{"a", {2, 2}}, {"b", {3}}, {"c", {}}});
  const std::string path = Path();
  ASSERT_OK(SaveParameters(path, spec, ExampleValues(spec)));
  const std::string bytes = ReadBytes(path);
  const std::string damaged = Path("damaged");
  for (size_t length = 0; length < bytes.size(); ++length) {
    WriteBytes(damaged, bytes.substr(0, length));
    EXPECT_FALSE(ReadParameters(damaged).ok()) << length;
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      WriteBytes(damaged, changed);
      ReadParameters(damaged).IgnoreError();
      LoadParameters(damaged, spec).IgnoreError();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, ParameterFileTest,
                         testing::Values(".safetensors", ".npz"),
                         [](const auto& info) { return info.param + 1; });

TEST(ParameterFileNamesTest, KnowsItsEndings) {
  EXPECT_TRUE(IsParameterFile("runs/a/model.safetensors"));
  EXPECT_TRUE(IsParameterFile("m.npz"));
  EXPECT_FALSE(IsParameterFile(".npz"));
  EXPECT_FALSE(IsParameterFile("m.npy"));
  EXPECT_THAT(ReadParameters("m.bin"), StatusIs(kInvalid, ".safetensors or"));
  EXPECT_THAT(ReadParameters(NewPath("none.npz")),
              StatusIs(absl::StatusCode::kNotFound, "none.npz"));
}

}  // namespace
}  // namespace parley
