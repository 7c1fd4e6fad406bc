#include "client/state/local_tensors.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "common/wire/checksum.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/folder.h"

namespace parley {
namespace {

constexpr absl::StatusCode kRefused = absl::StatusCode::kFailedPrecondition;

ParameterVector Numbers(std::vector<float> values) {
  ParameterVector vector(DType::kFloat32, values.size());
  std::copy(values.begin(), values.end(), vector.As<float>().begin());
  return vector;
}

std::vector<float> Values(const ParameterVector& vector) {
  const auto values = vector.As<float>();
  return {values.begin(), values.end()};
}

using Floats = std::vector<float>;

class LocalTensorsTest : public ::testing::Test {
 protected:
  ~LocalTensorsTest() override { std::filesystem::remove_all(folder_); }

  absl::StatusOr<LocalTensors> Open(int64_t elements = 2) {
    return LocalTensors::Open(options_, DType::kFloat32, elements);
  }
  std::string Bytes() { return ReadAll(options_.path); }
  void Replace(const std::string& bytes) { WriteAll(options_.path, bytes); }

  const std::string folder_ = TestFolder();
  LocalTensors::Options options_ = {
      .path = LocalTensorsPath(folder_ + "/state", "ann", 42),
      .run_id = 42,
      .spec_hash = 7};
};

TEST_F(LocalTensorsTest, ARoundTrainedAgainBeginsWhereItDid) {
  for (const bool kept : {false, true}) {
    options_.path = kept ? LocalTensorsPath(folder_, "ann", 42) : "";
    ASSERT_OK_AND_ASSIGN(LocalTensors tensors, Open());
    EXPECT_EQ(Values(tensors.Before(1)), Floats({0, 0}));
    ASSERT_OK(tensors.Keep(1, Numbers({1, 2})));
    EXPECT_EQ(Values(tensors.Before(1)), Floats({0, 0}));
    EXPECT_EQ(Values(tensors.Before(4)), Floats({1, 2}));
    ASSERT_OK(tensors.Keep(4, Numbers({3, 4})));
    ASSERT_OK(tensors.Keep(4, Numbers({5, 6})));  // again
    EXPECT_EQ(Values(tensors.Before(4)), Floats({1, 2}));
    EXPECT_EQ(Values(tensors.Before(5)), Floats({5, 6}));
    EXPECT_EQ(Values(tensors.latest()), Floats({5, 6}));
  }
}

TEST_F(LocalTensorsTest, OutlivesTheProcess) {
  EXPECT_EQ(options_.path, folder_ + "/state/local-ann-000000000000002a");
  for (const int64_t round : {1, 2, 5}) {
    ASSERT_OK_AND_ASSIGN(LocalTensors tensors, Open());
    const float x = round;
    ASSERT_OK(tensors.Keep(round, Numbers({x, -x})));
  }
  ASSERT_OK_AND_ASSIGN(const LocalTensors tensors, Open());
  EXPECT_EQ(tensors.round(), 5);
  EXPECT_EQ(Values(tensors.Before(5)), Floats({2, -2}));
  EXPECT_EQ(Values(tensors.Before(6)), Floats({5, -5}));
}

TEST_F(LocalTensorsTest, TheBytesAreAsDocumented) {
  ASSERT_OK_AND_ASSIGN(LocalTensors tensors, Open());
  ASSERT_OK(tensors.Keep(3, Numbers({0.5, 0})));
  const auto number = [](uint64_t n) {
    return std::string(reinterpret_cast<const char*>(&n), sizeof(n));
  };
  const std::string rest =
      number(42) + number(7) + number(3) + number(8) + std::string(8, '\0') +
      std::string("\0\0\0\x3f\0\0\0\0", 8);  // 0.5 is 0x3f000000
  EXPECT_EQ(Bytes(), "PRLYLOC1" + number(Checksum(rest)) + rest);
}

TEST_F(LocalTensorsTest, AnyDamageIsSaidAndNothingIsReset) {
  {
    ASSERT_OK_AND_ASSIGN(LocalTensors tensors, Open());
    ASSERT_OK(tensors.Keep(1, Numbers({1, 2})));
  }
  const std::string whole = Bytes();
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string bytes = whole;
    bytes[i] ^= 1;
    Replace(bytes);
    EXPECT_THAT(Open(), StatusIs(kRefused, "start them from zeros")) << i;
    Replace(whole.substr(0, i));
    EXPECT_THAT(Open(), StatusIs(kRefused, options_.path)) << i;
    EXPECT_EQ(Bytes(), whole.substr(0, i));
  }
  Replace(whole + "x");
  EXPECT_THAT(Open(), StatusIs(kRefused, "wrong size"));
  Replace(whole);
  EXPECT_THAT(Open(3), StatusIs(kRefused, "wrong size"));
  options_.spec_hash = 8;
  EXPECT_THAT(Open(), StatusIs(kRefused, "of another run or model"));
}

TEST_F(LocalTensorsTest, WhatCannotBeKeptChangesNothing) {
  ASSERT_OK_AND_ASSIGN(LocalTensors tensors, Open());
  ASSERT_OK(tensors.Keep(1, Numbers({1, 2})));
  std::filesystem::remove_all(folder_);
  EXPECT_FALSE(tensors.Keep(2, Numbers({3, 4})).ok());
  EXPECT_EQ(tensors.round(), 1);
  EXPECT_EQ(Values(tensors.latest()), Floats({1, 2}));
}

}  // namespace
}  // namespace parley
