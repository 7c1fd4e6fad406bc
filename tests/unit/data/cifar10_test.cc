#include "common/data/cifar10.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/data/source.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/data/temp_files.h"

namespace parley {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// A record whose byte i is (first + i) mod 256.
std::string Record(char label, int first) {
  std::string record(1, label);
  for (int i = 0; i < 3072; ++i) {
    record.push_back(static_cast<char>(first + i));
  }
  return record;
}

class Cifar10Test : public testing::Test {
 protected:
  const std::string one_ = Record(7, 0) + Record(0, 1);
  const std::string two_ = Record(9, 250);
  TempFiles files_;
};

TEST_F(Cifar10Test, ReadsAllFilesInTurnAndScales) {
  for (const Cifar10Options& options :
       {Cifar10Options{{files_.Write("1", one_), files_.Write("2", two_)}},
        Cifar10Options{{files_.WriteGzip("1.gz", one_),
                        files_.WriteGzip("2.gz", two_)}}}) {
    ASSERT_OK_AND_ASSIGN(const auto e, LoadCifar10<double>(options));
    EXPECT_EQ(e.rows, 3);
    EXPECT_EQ(e.features, 3072);
    EXPECT_FALSE(e.sparse);
    EXPECT_THAT(e.target, ElementsAre(7, 0, 9));
    ASSERT_EQ(e.dense.size(), 3u * 3072);
    for (int row = 0; row < 3; ++row) {
      const int first[] = {0, 1, 250};
      for (int i = 0; i < 3072; ++i) {
        ASSERT_EQ(e.dense[row * 3072 + i], (first[row] + i) % 256 / 255.0);
      }
    }
    ASSERT_OK_AND_ASSIGN(const auto f, LoadCifar10<float>(options));
    EXPECT_EQ(f.dense[3], 3 / 255.0f);
    ASSERT_OK_AND_ASSIGN(const SourceTargets t, LoadCifar10Targets(options));
    EXPECT_EQ(t.features, 3072);
    EXPECT_EQ(t.classes, 10);
    EXPECT_THAT(t.values, ElementsAre(7, 0, 9));
  }
}

TEST_F(Cifar10Test, KeepsTheRowsAskedForAcrossFiles) {
  const Cifar10Options options = {
      {files_.Write("1", one_), files_.Write("2", two_)}};
  const std::vector<int64_t> rows = {1, 2};
  ASSERT_OK_AND_ASSIGN(const auto e,
                       LoadCifar10<float>(options, RowFilter(rows)));
  EXPECT_EQ(e.rows, 2);
  EXPECT_THAT(e.target, ElementsAre(0, 9));
  EXPECT_EQ(e.dense[0], 1 / 255.0f);
  EXPECT_EQ(e.dense[3072], 250 / 255.0f);
  ASSERT_OK_AND_ASSIGN(
      const auto none,
      LoadCifar10<float>(options, RowFilter(absl::Span<const int64_t>())));
  EXPECT_THAT(none.dense, IsEmpty());
  const std::vector<int64_t> beyond = {3};
  EXPECT_THAT(LoadCifar10<float>(options, RowFilter(beyond)),
              StatusIs(kInvalid, "row 3 is wanted of 3"));
}

TEST_F(Cifar10Test, NamesTheRecordThatIsWrong) {
  const auto load = [&](const std::string& second) {
    const Cifar10Options options = {
        {files_.Write("1", one_), files_.Write("2", second)}};
    // What the targets are read from is checked the same.
    EXPECT_EQ(LoadCifar10Targets(options).status(),
              LoadCifar10<float>(options).status());
    return LoadCifar10<float>(options);
  };
  EXPECT_THAT(
      load(two_ + Record(10, 0)),
      StatusIs(kInvalid, "2: record 2 (from 1) has label 10; allowed: 0 to 9"));
  EXPECT_THAT(load(Record('\xff', 0)),
              StatusIs(kInvalid, "2: record 1 (from 1) has label 255"));
  EXPECT_THAT(
      load(two_ + std::string(3072, '\0')),
      StatusIs(kInvalid, "2: record 2 (from 1) has 3072 bytes, not 3073"));
  EXPECT_THAT(load(""),
              StatusIs(kInvalid, "2: record 1 (from 1) has 0 bytes, not 3073"));
  EXPECT_THAT(LoadCifar10<float>({}), StatusIs(kInvalid, "no CIFAR-10 files"));
  EXPECT_THAT(LoadCifar10<float>({{files_.Path("none")}}),
              StatusIs(absl::StatusCode::kNotFound, "none"));
}

TEST_F(Cifar10Test, ReportsGzipThatIsCutOff) {
  std::string noise;
  for (int i = 0; i < 20; ++i) noise += Record(1, i * i);
  files_.WriteGzip("whole", noise);
  std::string cut = files_.Read("whole");
  cut.resize(cut.size() / 2);
  EXPECT_THAT(LoadCifar10<float>({{files_.Write("cut", cut)}}),
              StatusIs(absl::StatusCode::kDataLoss, "cut off"));
}

TEST_F(Cifar10Test, TellsTheShapeOfItsImages) {
  DataSource source;
  source.kind = Cifar10Options{{files_.Path("none: it is always the same")}};
  ASSERT_OK_AND_ASSIGN(const auto shape, ImageShapeOf(source));
  EXPECT_EQ(shape, (ImageShape{.channels = 3, .height = 32, .width = 32}));
}

}  // namespace
}  // namespace parley
