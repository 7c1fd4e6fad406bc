#include "common/data/libsvm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/data/temp_files.h"

namespace parley {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kGood[] =
    "+1 1:0.5 3:-2e-3 # a comment 9:9\r\n"
    "\n"
    "  # nothing but a comment\n"
    "-1\t2:+4 \n"
    "0.25\n"
    "2 4:1";

TEST(LibsvmTest, ReadsSparse) {
  TempFiles files;
  for (const std::string& path :
       {files.Write("plain", kGood), files.WriteGzip("packed", kGood)}) {
    ASSERT_OK_AND_ASSIGN(const Examples<double> e,
                         LoadLibsvm<double>({.path = path}));
    EXPECT_TRUE(e.sparse);
    EXPECT_EQ(e.rows, 4);
    EXPECT_EQ(e.features, 4);
    EXPECT_THAT(e.target, ElementsAre(1, -1, 0.25, 2));
    EXPECT_THAT(e.row_begin, ElementsAre(0, 2, 3, 3, 4));
    EXPECT_THAT(e.column, ElementsAre(0, 2, 1, 3));
    EXPECT_THAT(e.value, ElementsAre(0.5, -2e-3, 4, 1));
    EXPECT_THAT(e.dense, IsEmpty());
  }
}

TEST(LibsvmTest, ReadsDense) {
  TempFiles files;
  const std::string path = files.Write("a", kGood);
  ASSERT_OK_AND_ASSIGN(
      const Examples<float> e,
      LoadLibsvm<float>({.path = path, .features = 5, .dense = true}));
  EXPECT_FALSE(e.sparse);
  EXPECT_EQ(e.features, 5);
  EXPECT_THAT(e.dense, ElementsAre(0.5f, 0, -2e-3f, 0, 0,  //
                                   0, 4, 0, 0, 0,          //
                                   0, 0, 0, 0, 0,          //
                                   0, 0, 0, 1, 0));
}

TEST(LibsvmTest, KeepsTheRowsAskedFor) {
  TempFiles files;
  const std::string path = files.Write("a", kGood);
  const std::vector<int64_t> rows = {1, 2};
  ASSERT_OK_AND_ASSIGN(const Examples<float> e,
                       LoadLibsvm<float>({.path = path}, RowFilter(rows)));
  EXPECT_EQ(e.rows, 2);
  EXPECT_EQ(e.features, 4) << "as the whole file has";
  EXPECT_THAT(e.target, ElementsAre(-1, 0.25));
  EXPECT_THAT(e.row_begin, ElementsAre(0, 1, 1));
  EXPECT_THAT(e.column, ElementsAre(1));

  const std::vector<int64_t> beyond = {0, 4};
  EXPECT_THAT(LoadLibsvm<float>({.path = path}, RowFilter(beyond)),
              StatusIs(absl::StatusCode::kInvalidArgument, "row 4"));
}

TEST(LibsvmTest, ReadsTargetsAlone) {
  TempFiles files;
  ASSERT_OK_AND_ASSIGN(const SourceTargets t,
                       LoadLibsvmTargets({.path = files.Write("a", kGood)}));
  EXPECT_EQ(t.features, 4);
  EXPECT_THAT(t.values, ElementsAre(1, -1, 0.25, 2));
}

struct BadLine {
  std::string line;
  std::string message;
};

TEST(LibsvmTest, NamesMalformedLines) {
  TempFiles files;
  const BadLine lines[] = {
      {"1 0:1", "the index of '0:1' is not within 1 to"},
      {"1 -3:1", "the index of '-3:1' is not within"},
      {"1 2:1 2:1", "index 2 follows 2, but indices must rise"},
      {"1 3:1 2:1", "index 2 follows 3"},
      {"1 2147483647:1", "is not within 1 to 2147483646"},
      {"1 99999999999999999999:1", "is not within 1 to 2147483646"},
      {"1 2", "'2' is not index:value"},
      {"1 a:1", "'a:1' is not index:value"},
      {"1 qid:3 1:1", "'qid:3' is not index:value"},
      {"1 :1", "':1' is not index:value"},
      {"1 1.5:1", "'1.5:1' is not index:value"},
      {"1 1:", "the value of '1:' is not a number"},
      {"1 1:x", "the value of '1:x' is not a number"},
      {"1 1:2x", "the value of '1:2x' is not a number"},
      {"1 1:2:3", "the value of '1:2:3' is not a number"},
      {"1 1:+-2", "the value of '1:+-2' is not a number"},
      {"1 1:0x10", "the value of '1:0x10' is not a number"},
      {"1 1:nan", "the value of '1:nan' is not finite"},
      {"1 1:-inf", "the value of '1:-inf' is not finite"},
      {"1 1:1e999", "the value of '1:1e999' is out of range"},
      {"1 1:1e39", "the value of '1:1e39' is out of range"},
      {"1e39 1:1", "the label 1e+39 is out of range"},
      {"nan 1:1", "the label 'nan' is not finite"},
      {"one 1:1", "the label 'one' is not a number"},
      {"1,2 1:1", "the label '1,2' is not a number"},
      {"+ 1:1", "the label '+' is not a number"},
      {"1:1 2:1", "the label is missing before '1:1'"},
      {std::string("1 1:1\0", 6), "is not a number"},
  };
  for (const BadLine& bad : lines) {
    const std::string path =
        files.Write("a", absl::StrCat("1 1:1\n\n", bad.line, "\n1 1:1\n"));
    EXPECT_THAT(LoadLibsvm<float>({.path = path}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         absl::StrCat(path, ":3: ")))
        << bad.line;
    EXPECT_THAT(LoadLibsvm<float>({.path = path}),
                StatusIs(absl::StatusCode::kInvalidArgument, bad.message))
        << bad.line;
  }
}

TEST(LibsvmTest, ChecksLinesThatItDoesNotKeep) {
  TempFiles files;
  const std::string path = files.Write("a", "1 1:1\n1 1:x\n");
  const std::vector<int64_t> rows = {0};
  EXPECT_THAT(LoadLibsvm<float>({.path = path}, RowFilter(rows)),
              StatusIs(absl::StatusCode::kInvalidArgument, ":2: "));
  EXPECT_THAT(LoadLibsvmTargets({.path = path}),
              StatusIs(absl::StatusCode::kInvalidArgument, ":2: "));
}

TEST(LibsvmTest, HoldsToTheNumberOfFeaturesGiven) {
  TempFiles files;
  const std::string path = files.Write("a", "1 1:1 4:1\n");
  EXPECT_THAT(LoadLibsvm<float>({.path = path, .features = 3}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       ":1: the index of '4:1' is not within 1 to 3"));
  EXPECT_THAT(LoadLibsvm<float>({.path = path, .features = -1}),
              StatusIs(absl::StatusCode::kInvalidArgument, "features is -1"));
}

TEST(LibsvmTest, RefusesFilesWithoutRowsOrFeatures) {
  TempFiles files;
  for (const char* text : {"", "\n\n", "# only\n"}) {
    EXPECT_THAT(LoadLibsvm<float>({.path = files.Write("a", text)}),
                StatusIs(absl::StatusCode::kInvalidArgument, "no rows"));
  }
  EXPECT_THAT(LoadLibsvm<float>({.path = files.Write("a", "1\n-1\n")}),
              StatusIs(absl::StatusCode::kInvalidArgument, "has a feature"));
}

TEST(LibsvmTest, RefusesAHugeDenseArrayWithoutMakingIt) {
  TempFiles files;
  const std::string path = files.Write("a", "1 1:1\n1 1:1\n1 2147483646:1\n");
  EXPECT_THAT(LoadLibsvm<float>({.path = path, .dense = true}),
              StatusIs(absl::StatusCode::kResourceExhausted, "too many"));
  EXPECT_OK(LoadLibsvm<float>({.path = path}));
}

TEST(LibsvmTest, ReportsGzipThatIsCutOff) {
  TempFiles files;
  std::string text;
  Rng rng(3, "rows");
  for (int i = 0; i < 10000; ++i) {
    absl::StrAppend(&text, "1 1:", rng.Uniform(), "\n");
  }
  files.WriteGzip("whole", text);
  std::string cut = files.Read("whole");
  cut.resize(cut.size() / 2);
  EXPECT_THAT(LoadLibsvm<float>({.path = files.Write("cut", cut)}),
              StatusIs(absl::StatusCode::kDataLoss, "cut off"));
}

TEST(LibsvmTest, NumbersComeBackExactly) {
  TempFiles files;
  Rng rng(4, "numbers");
  std::string text;
  std::vector<double> values;
  for (int i = 0; i < 2000; ++i) {
    values.push_back(rng.Normal() * std::pow(10, rng.Normal() * 20));
    char line[64];
    snprintf(line, sizeof line, "%d 7:%.17g\n", i, values.back());
    text += line;
  }
  const std::string path = files.Write("a", text);
  ASSERT_OK_AND_ASSIGN(const auto read, LoadLibsvm<double>({.path = path}));
  EXPECT_EQ(read.value, values);
  EXPECT_EQ(read.features, 7);
}

}  // namespace
}  // namespace parley
