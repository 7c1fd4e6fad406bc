#include "common/files/safetensors.h"

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/files/files_testing.h"

namespace parley {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// The file of a header and so many bytes of numbers.
absl::StatusOr<std::unique_ptr<TensorFile>> Open(const std::string& header,
                                                 size_t bytes) {
  std::string file(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(file.data(), &length, 8);
  return OpenSafetensors(WriteBytes(NewPath("x.safetensors"),
                                    file + header + std::string(bytes, 0)));
}

std::string Entry(const std::string& name, const std::string& shape,
                  const std::string& offsets,
                  const std::string& dtype = "F32") {
  return absl::StrCat("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":[",
                      shape, "],\"data_offsets\":[", offsets, "]}");
}

TEST(SafetensorsTest, TheBytesAreThoseOfTheFormat) {
  const auto spec =
      *ParameterSpec::Create(DType::kFloat32, {{"w", {1, 2}}, {"b", {}}});
  ParameterVector values(DType::kFloat32, 3);
  values.As<float>()[0] = 1;
  values.As<float>()[1] = 2;
  values.As<float>()[2] = -2;
  const std::string path = NewPath("m.safetensors");
  ASSERT_OK(WriteSafetensors(path, spec, values));
  std::string header =
      R"({"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"F32","shape":[],"data_offsets":[8,12]}})";
  while (header.size() % 8 != 0) header += ' ';
  EXPECT_EQ(ReadBytes(path),
            absl::StrCat(std::string(1, static_cast<char>(header.size())),
                         std::string(7, '\0'), header,
                         std::string("\0\0\x80\x3F\0\0\0\x40\0\0\0\xC0", 12)));
}

TEST(SafetensorsTest, ReadsMetadataAndMixedTypes) {
  ASSERT_OK_AND_ASSIGN(
      auto file, Open(absl::StrCat("{\"__metadata__\":{\"format\":\"pt\"},",
                                   Entry("b", "2", "8,24", "F64"), ",",
                                   Entry("a", "2", "0,8"), "}  "),
                      24));
  ASSERT_EQ(file->tensors().size(), 2u);
  EXPECT_EQ(file->tensors()[0].name, "a");
  EXPECT_EQ(file->tensors()[0].dtype, DType::kFloat32);
  EXPECT_EQ(file->tensors()[1].dtype, DType::kFloat64);
}

TEST(SafetensorsTest, RefusesHostileHeaders) {
  const auto one = [](const std::string& entry, size_t bytes) {
    return Open(absl::StrCat("{", entry, "}"), bytes);
  };
  ASSERT_OK(one(Entry("a", "2,1", "0,8"), 8));
  EXPECT_THAT(Open("", 0), StatusIs(kInvalid, "header"));
  EXPECT_THAT(Open("[]", 0), StatusIs(kInvalid, "header"));
  EXPECT_THAT(Open("{\"a\":1}", 0), StatusIs(kInvalid, "needs dtype"));
  EXPECT_THAT(one(Entry("a", "2", "0,8", "BF16"), 8),
              StatusIs(kInvalid, "BF16"));
  EXPECT_THAT(one(Entry("a", "2", "0,8"), 7), StatusIs(kInvalid, "outside"));
  EXPECT_THAT(one(Entry("a", "2", "0,8"), 9), StatusIs(kInvalid, "follows"));
  EXPECT_THAT(one(Entry("a", "2", "8,0"), 8), StatusIs(kInvalid, "outside"));
  EXPECT_THAT(one(Entry("a", "2", "-8,0"), 8), StatusIs(kInvalid, "outside"));
  EXPECT_THAT(one(Entry("a", "2", "0,18446744073709551615"), 8),
              StatusIs(kInvalid, "outside"));
  EXPECT_THAT(one(Entry("a", "3", "0,8"), 8), StatusIs(kInvalid, "fit"));
  EXPECT_THAT(one(Entry("a", "-2,-1", "0,8"), 8),
              StatusIs(kInvalid, "negative"));
  EXPECT_THAT(one(Entry("a", "2.0", "0,8"), 8), StatusIs(kInvalid, "whole"));
  EXPECT_THAT(one(Entry("a", "4294967296,4294967296,2", "0,0"), 0),
              StatusIs(kInvalid, "2^40"));
  EXPECT_THAT(one(Entry("a", "0,4294967296,4294967296,2", "0,0"), 0),
              StatusIs(kInvalid, "2^40"));
  EXPECT_THAT(one(Entry("a", "2", "0,8") + "," + Entry("b", "2", "4,12"), 12),
              StatusIs(kInvalid, "overlaps"));
  EXPECT_THAT(one(Entry("a", "1", "0,4") + "," + Entry("b", "1", "8,12"), 12),
              StatusIs(kInvalid, "gap"));
  EXPECT_THAT(one(Entry("a", "1", "0,4") + "," + Entry("a", "1", "4,8"), 8),
              StatusIs(kInvalid, "twice"));
}

TEST(SafetensorsTest, RefusesAnAbsurdHeaderLength) {
  for (const char last : {'\x7f', '\xff'}) {
    EXPECT_THAT(
        OpenSafetensors(WriteBytes(NewPath("x.safetensors"),
                                   std::string(7, '\xff') + last + "{}")),
        StatusIs(kInvalid, "not a safetensors file"));
  }
  EXPECT_THAT(OpenSafetensors(WriteBytes(NewPath("y.safetensors"), "short")),
              StatusIs(kInvalid, "too short"));
  EXPECT_THAT(OpenSafetensors("/dev/null"), StatusIs(kInvalid, "not a file"));
}

}  // namespace
}  // namespace parley
