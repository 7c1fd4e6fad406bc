#include "common/files/zip.h"

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/files/files_testing.h"

namespace parley {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::string WriteZip(
    const std::vector<std::pair<std::string, std::string>>& members,
    uint64_t zip64_from = 0xFFFFFFFF) {
  const std::string path = NewPath("x.zip");
  auto file = FileReplacer::Create(path);
  EXPECT_OK(file);
  ZipWriter zip(file->get(), zip64_from);
  for (const auto& [name, bytes] : members) EXPECT_OK(zip.Add(name, {bytes}));
  EXPECT_OK(zip.Finish());
  EXPECT_OK((*file)->Commit());
  return path;
}

absl::StatusOr<std::string> Member(const ZipReader& zip, size_t i) {
  std::string out(zip.members()[i].size, '\0');
  ZipStream stream(zip, i);
  // In two pieces.
  PARLEY_RETURN_IF_ERROR(stream.Read(out.data(), out.size() / 2));
  PARLEY_RETURN_IF_ERROR(
      stream.Read(out.data() + out.size() / 2, out.size() - out.size() / 2));
  return out;
}

TEST(ZipTest, ReadsBackPlainAndZip64) {
  const std::string large(200, 'x');
  for (const uint64_t zip64_from :
       {uint64_t{0xFFFFFFFF}, uint64_t{100}, uint64_t{1}}) {
    const std::string path =
        WriteZip({{"a", "first"}, {"empty", ""}, {"b", large}, {"c", "last"}},
                 zip64_from);
    ASSERT_OK_AND_ASSIGN(const auto zip, ZipReader::Open(path));
    ASSERT_EQ(zip->members().size(), 4u);
    EXPECT_EQ(*Member(*zip, 0), "first");
    EXPECT_EQ(*Member(*zip, 1), "");
    EXPECT_EQ(*Member(*zip, 2), large);
    EXPECT_EQ(*Member(*zip, 3), "last");
  }
}

TEST(ZipTest, EqualContentsGiveEqualFiles) {
  const std::string first = ReadBytes(WriteZip({{"a", "x"}, {"b", "y"}}));
  EXPECT_EQ(ReadBytes(WriteZip({{"a", "x"}, {"b", "y"}})), first);
}

TEST(ZipTest, RefusesOverlapsAndDuplicates) {
  EXPECT_THAT(ZipReader::Open(WriteZip({{"a", "x"}, {"a", "x"}})),
              StatusIs(kInvalid, "twice"));
  // The directory's entry of b: its header's offset points at a's.
  std::string bytes = ReadBytes(WriteZip({{"a", "x"}, {"b", "x"}}));
  const size_t b = bytes.rfind("PK\x01\x02");
  bytes[b + 42] = 0;
  EXPECT_THAT(ZipReader::Open(WriteBytes(NewPath("overlap"), bytes)),
              StatusIs(kInvalid, "overlap"));
}

TEST(ZipTest, RefusesImpossibleSizes) {
  const std::string good = ReadBytes(WriteZip({{"a", "contents"}}));
  const size_t entry = good.rfind("PK\x01\x02");
  const auto with = [&](size_t at, const std::string& field) {
    std::string bytes = good;
    bytes.replace(entry + at, field.size(), field);
    return ZipReader::Open(WriteBytes(NewPath("changed"), bytes));
  };
  EXPECT_OK(with(20, std::string("\x08\0\0\0", 4)));
  // Stored, with another size unpacked.
  EXPECT_THAT(with(24, std::string("\x09\0\0\0", 4)),
              StatusIs(kInvalid, "cannot have"));
  // Deflated 8 bytes that claim to hold 4 GB.
  std::string bytes = good;
  bytes.replace(entry + 10, 2, std::string("\x08\0", 2));
  bytes.replace(entry + 24, 4, "\xF0\xFF\xFF\xFF");
  EXPECT_THAT(ZipReader::Open(WriteBytes(NewPath("bomb"), bytes)),
              StatusIs(kInvalid, "cannot have"));
  // Both sizes beyond the file.
  EXPECT_THAT(with(20, "\xF0\xFF\xFF\x7F\xF0\xFF\xFF\x7F"),
              StatusIs(kInvalid, "outside"));
  // The local header beyond the file; encrypted; an unknown method.
  EXPECT_THAT(with(42, "\xF0\xFF\xFF\xF0"), StatusIs(kInvalid, "outside"));
  EXPECT_THAT(with(8, "\x01"), StatusIs(kInvalid, "encrypted"));
  EXPECT_THAT(with(10, "\x0C"), StatusIs(kInvalid, "method 12"));
}

TEST(ZipTest, ChecksTheChecksum) {
  const std::string path = WriteZip({{"a", "contents"}});
  std::string bytes = ReadBytes(path);
  bytes[bytes.find("contents")] = 'C';
  WriteBytes(path, bytes);
  ASSERT_OK_AND_ASSIGN(const auto zip, ZipReader::Open(path));
  EXPECT_THAT(Member(*zip, 0),
              StatusIs(absl::StatusCode::kDataLoss, "damaged"));
}

TEST(ZipTest, AMemberThatIsNotDeflateIsDamaged) {
  std::string bytes = ReadBytes(WriteZip({{"a", "contents"}}));
  const size_t entry = bytes.rfind("PK\x01\x02");
  bytes.replace(entry + 10, 2, std::string("\x08\0", 2));
  ASSERT_OK_AND_ASSIGN(const auto zip,
                       ZipReader::Open(WriteBytes(NewPath("raw"), bytes)));
  EXPECT_THAT(Member(*zip, 0),
              StatusIs(absl::StatusCode::kDataLoss, "damaged"));
}

TEST(ZipTest, RefusesWhatIsNoZip) {
  EXPECT_THAT(ZipReader::Open(WriteBytes(NewPath("a"), "")),
              StatusIs(kInvalid, "not a zip file"));
  EXPECT_THAT(
      ZipReader::Open(WriteBytes(NewPath("b"), std::string(99999, 'P'))),
      StatusIs(kInvalid, "not a zip file"));
}

}  // namespace
}  // namespace parley
