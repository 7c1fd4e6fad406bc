#include "server/store/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "common/wire/spec.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/folder.h"

namespace parley {
namespace {

using absl::StatusCode;

ParameterSpec Spec() {
  return *ParameterSpec::Create(DType::kFloat32, {{"w", {3, 2}}, {"b", {2}}});
}

ParameterVector Values(float first) {
  ParameterVector values(DType::kFloat32, 8);
  for (int i = 0; i < 8; ++i) values.As<float>()[i] = first + i;
  return values;
}

v1::Checkpoint Head(int64_t round) {
  v1::Checkpoint head;
  head.set_run("test");
  head.set_term(3);
  head.set_round(round);
  *head.mutable_spec() = SpecToProto(Spec());
  return head;
}

std::string Write(const std::string& folder, int64_t round) {
  const std::string path = folder + "/" + CheckpointName(round);
  const ParameterVector model = Values(1), momentum = Values(100);
  EXPECT_OK(WriteCheckpoint(path, Head(round),
                            {{"model", &model}, {"momentum", &momentum}}));
  return path;
}

TEST(Checkpoint, ReadsBackWhatWasWritten) {
  const std::string path = Write(TestFolder(), 10);
  ASSERT_OK_AND_ASSIGN(const auto reader, CheckpointReader::Open(path));
  EXPECT_OK(reader->Verify());
  EXPECT_EQ(reader->head().round(), 10);
  EXPECT_EQ(reader->head().term(), 3);
  EXPECT_EQ(reader->spec(), Spec());
  ParameterVector model(DType::kFloat32, 8), momentum(DType::kFloat32, 8);
  EXPECT_OK(reader->Read("momentum", momentum));
  EXPECT_OK(reader->Read("model", model));
  EXPECT_EQ(model.Hash(), Values(1).Hash());
  EXPECT_EQ(momentum.Hash(), Values(100).Hash());
  EXPECT_THAT(reader->Read("adam.m", model),
              StatusIs(StatusCode::kNotFound, "adam.m"));
  ParameterVector small(DType::kFloat32, 7);
  EXPECT_THAT(reader->Read("model", small),
              StatusIs(StatusCode::kInvalidArgument, "28 are expected"));
}

TEST(Checkpoint, AnyTruncationIsRefused) {
  const std::string path = Write(TestFolder(), 10);
  const std::string whole = ReadAll(path);
  for (size_t size = 0; size < whole.size(); ++size) {
    WriteAll(path, whole.substr(0, size));
    ASSERT_FALSE(CheckpointReader::Open(path).ok()) << size;
  }
  WriteAll(path, whole + "x");
  EXPECT_THAT(CheckpointReader::Open(path),
              StatusIs(StatusCode::kInvalidArgument, "after its last section"));
}

TEST(Checkpoint, AnyFlippedBitIsNoticed) {
  const std::string path = Write(TestFolder(), 10);
  const std::string whole = ReadAll(path);
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    WriteAll(path, damaged);
    const auto reader = CheckpointReader::Open(path);
    ASSERT_FALSE(reader.ok() && (*reader)->Verify().ok()) << at;
  }
}

TEST(Checkpoint, RefusesNumbersThatAreNotFinite) {
  const std::string path = TestFolder() + "/checkpoint-00000001";
  ParameterVector model = Values(1);
  model.As<float>()[5] = NAN;
  ASSERT_OK(WriteCheckpoint(path, Head(1), {{"model", &model}}));
  ASSERT_OK_AND_ASSIGN(const auto reader, CheckpointReader::Open(path));
  EXPECT_THAT(reader->Read("model", model),
              StatusIs(StatusCode::kInvalidArgument, "NaN"));
}

TEST(Checkpoint, KeepsTheLatest) {
  const std::string folder = TestFolder();
  for (int64_t round : {5, 10, 99999999, 100000000}) Write(folder, round);
  WriteAll(folder + "/checkpoint-note", "not one of ours");
  PruneCheckpoints(folder, 2);
  EXPECT_THAT(ListCheckpoints(folder),
              ::testing::ElementsAre(folder + "/checkpoint-100000000",
                                     folder + "/checkpoint-99999999"));
  EXPECT_TRUE(std::filesystem::exists(folder + "/checkpoint-note"));
}

}  // namespace
}  // namespace parley
