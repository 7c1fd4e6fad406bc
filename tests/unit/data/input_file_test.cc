#include "common/data/input_file.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/base/random.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/data/temp_files.h"

namespace parley {
namespace {

std::string RandomText(size_t bytes) {
  Rng rng(1, "text");
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>('a' + rng.Below(26));
  return text;
}

absl::StatusOr<std::string> ReadAll(const std::string& path, int64_t step) {
  PARLEY_ASSIGN_OR_RETURN(auto file, InputFile::Open(path));
  std::string all, block(step, '\0');
  while (true) {
    PARLEY_ASSIGN_OR_RETURN(const int64_t got, file->Read(block.data(), step));
    all.append(block, 0, got);
    if (got < step) return all;
  }
}

TEST(InputFileTest, ReadsPlainAndGzipAlike) {
  TempFiles files;
  const std::string text = RandomText(3'000'000);
  for (const std::string& path :
       {files.Write("plain", text), files.WriteGzip("packed", text)}) {
    for (const int64_t step : {7, 65536, 4'000'000}) {
      ASSERT_OK_AND_ASSIGN(const std::string read, ReadAll(path, step));
      EXPECT_TRUE(read == text) << path << " by " << step;
    }
  }
}

TEST(InputFileTest, ReadsAnEmptyFile) {
  TempFiles files;
  ASSERT_OK_AND_ASSIGN(const std::string read,
                       ReadAll(files.Write("empty", ""), 10));
  EXPECT_EQ(read, "");
}

TEST(InputFileTest, SaysWhyItCannotOpen) {
  TempFiles files;
  EXPECT_THAT(InputFile::Open(files.Path("none")),
              StatusIs(absl::StatusCode::kNotFound, "none: No such file"));
  EXPECT_THAT(
      InputFile::Open(files.Path("")),
      StatusIs(absl::StatusCode::kFailedPrecondition, "not a regular file"));
}

TEST(InputFileTest, ReportsGzipThatIsCutOffAnywhere) {
  TempFiles files;
  files.WriteGzip("whole", RandomText(100'000));
  const std::string whole = files.Read("whole");
  for (const size_t length : {size_t{2}, size_t{12}, whole.size() / 2,
                              whole.size() - 9, whole.size() - 1}) {
    const std::string path = files.Write("cut", whole.substr(0, length));
    EXPECT_THAT(ReadAll(path, 65536),
                StatusIs(absl::StatusCode::kDataLoss, "cut off"))
        << length;
  }
}

TEST(InputFileTest, ReportsDamagedGzip) {
  TempFiles files;
  files.WriteGzip("whole", RandomText(100'000));
  std::string damaged = files.Read("whole");
  damaged[damaged.size() / 2] ^= 0x55;
  EXPECT_THAT(ReadAll(files.Write("damaged", damaged), 65536),
              StatusIs(absl::StatusCode::kDataLoss, "damaged: "));
}

TEST(InputFileTest, CheckHoldsMeasuresPlainFiles) {
  TempFiles files;
  ASSERT_OK_AND_ASSIGN(auto file,
                       InputFile::Open(files.Write("plain", "12345")));
  EXPECT_OK(file->CheckHolds(5));
  EXPECT_THAT(file->CheckHolds(6),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "promises 6 bytes, but it holds 5"));
}

TEST(InputFileTest, CheckHoldsCountsWhatGzipHardlyHolds) {
  TempFiles files;
  const int64_t zeros = 2'000'000;  // shrink about a thousand times
  const std::string path = files.WriteGzip("zeros", std::string(zeros, '\0'));
  ASSERT_OK_AND_ASSIGN(auto file, InputFile::Open(path));
  char first[3];
  ASSERT_OK_AND_ASSIGN(const int64_t got, file->Read(first, 3));
  EXPECT_EQ(got, 3);
  EXPECT_OK(file->CheckHolds(zeros));
  EXPECT_THAT(file->CheckHolds(zeros + 1),
              StatusIs(absl::StatusCode::kInvalidArgument, "it holds 2000000"));
  // The read position is where it was.
  std::string rest(zeros, 'x');
  ASSERT_OK_AND_ASSIGN(const int64_t left, file->Read(rest.data(), zeros));
  EXPECT_EQ(left, zeros - 3);
}

std::vector<std::string> Lines(const std::string& path) {
  std::vector<std::string> lines;
  absl::StatusOr<LineReader> reader = LineReader::Open(path);
  EXPECT_OK(reader);
  while (true) {
    const absl::StatusOr<bool> more = reader->Next();
    EXPECT_OK(more);
    if (!more.ok() || !*more) return lines;
    lines.emplace_back(reader->line());
    EXPECT_EQ(reader->number(), static_cast<int64_t>(lines.size()));
  }
}

TEST(LineReaderTest, TakesAllLineEnds) {
  TempFiles files;
  using Strings = std::vector<std::string>;
  EXPECT_EQ(Lines(files.Write("a", "")), Strings{});
  EXPECT_EQ(Lines(files.Write("b", "\n")), Strings{""});
  EXPECT_EQ(Lines(files.Write("c", "x\r\n\r\ny\nz")),
            (Strings{"x", "", "y", "z"}));
  EXPECT_EQ(Lines(files.Write("d", "x\r\ny\r")), (Strings{"x", "y"}));
}

TEST(LineReaderTest, CarriesLinesOverBlocks) {
  TempFiles files;
  Rng rng(1, "lines");
  std::vector<std::string> lines;
  std::string text;
  for (int i = 0; i < 300; ++i) {
    // Some lines are longer than the reader's buffer of 1 MiB.
    const size_t length = i % 100 == 7 ? (size_t{1} << 20) + rng.Below(1 << 21)
                                       : rng.Below(30000);
    lines.push_back(RandomText(length));
    text += lines.back() + "\n";
  }
  EXPECT_TRUE(Lines(files.Write("plain", text)) == lines);
  EXPECT_TRUE(Lines(files.WriteGzip("packed", text)) == lines);
}

TEST(LineReaderTest, AnEndAtTheBlocksEdgeIsOneEnd) {
  TempFiles files;
  for (const size_t length : {(size_t{1} << 20) - 1, size_t{1} << 20}) {
    const std::string line(length, 'x');
    EXPECT_TRUE(Lines(files.Write("a", line)) == std::vector{line});
    EXPECT_TRUE(Lines(files.Write("b", line + "\n")) == std::vector{line});
  }
}

}  // namespace
}  // namespace parley
