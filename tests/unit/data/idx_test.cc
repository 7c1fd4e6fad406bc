#include "common/data/idx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/data/source.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/data/temp_files.h"

namespace parley {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Three rows of 2×2 pixels, and their labels.
class IdxTest : public testing::Test {
 protected:
  const std::string pixels_{'\0', '\1', '\2',   '\3',   '\4',   '\5',
                            '\6', '\7', '\x08', '\xfd', '\xfe', '\xff'};
  const std::string images_ = IdxHeader({3, 2, 2}) + pixels_;
  const std::string labels_ = IdxHeader({3}) + std::string{'\7', '\0', '\11'};
  TempFiles files_;

  // Expects that these files are refused with `text`, whoever reads them.
  void ExpectRefused(const std::string& images, const std::string& labels,
                     const std::string& text) {
    const IdxOptions plain = {files_.Write("images", images),
                              files_.Write("labels", labels)};
    EXPECT_THAT(LoadIdx<float>(plain),
                StatusIs(absl::StatusCode::kInvalidArgument, text));
    const IdxOptions packed = {files_.WriteGzip("images.gz", images),
                               files_.WriteGzip("labels.gz", labels)};
    EXPECT_THAT(LoadIdx<float>(packed),
                StatusIs(absl::StatusCode::kInvalidArgument, text));
  }
};

TEST_F(IdxTest, ReadsAndScales) {
  for (const IdxOptions& options :
       {IdxOptions{files_.Write("images", images_),
                   files_.Write("labels", labels_)},
        IdxOptions{files_.WriteGzip("images.gz", images_),
                   files_.WriteGzip("labels.gz", labels_)}}) {
    ASSERT_OK_AND_ASSIGN(const Examples<double> e, LoadIdx<double>(options));
    EXPECT_EQ(e.rows, 3);
    EXPECT_EQ(e.features, 4);
    EXPECT_FALSE(e.sparse);
    EXPECT_THAT(e.target, ElementsAre(7, 0, 9));
    EXPECT_THAT(e.dense, ElementsAre(0, 1 / 255.0, 2 / 255.0, 3 / 255.0,
                                     4 / 255.0, 5 / 255.0, 6 / 255.0, 7 / 255.0,
                                     8 / 255.0, 253 / 255.0, 254 / 255.0, 1));
    ASSERT_OK_AND_ASSIGN(const SourceTargets t, LoadIdxTargets(options));
    EXPECT_EQ(t.features, 4);
    EXPECT_THAT(t.values, ElementsAre(7, 0, 9));
  }
}

TEST_F(IdxTest, TakesAnyNumberOfDimensionsFromTwo) {
  const std::string labels = files_.Write("labels", labels_);
  for (const auto& shape :
       {std::vector<uint32_t>{3, 4}, std::vector<uint32_t>{3, 1, 2, 2}}) {
    const std::string images =
        files_.Write("images", IdxHeader(shape) + pixels_);
    ASSERT_OK_AND_ASSIGN(const auto e, LoadIdx<float>({images, labels}));
    EXPECT_EQ(e.features, 4);
    EXPECT_EQ(e.dense[11], 1);
  }
}

TEST_F(IdxTest, TellsTheShapeOfItsImages) {
  DataSource source;
  source.kind =
      IdxOptions{files_.Write("images", IdxHeader({2, 3, 2}) + pixels_),
                 files_.Path("none: the labels are not read")};
  ASSERT_OK_AND_ASSIGN(auto shape, ImageShapeOf(source));
  EXPECT_EQ(shape, (ImageShape{.channels = 1, .height = 3, .width = 2}));
  for (const auto& other :
       {std::vector<uint32_t>{3, 4}, std::vector<uint32_t>{1, 3, 2, 2}}) {
    files_.Write("images", IdxHeader(other) + pixels_);
    ASSERT_OK_AND_ASSIGN(shape, ImageShapeOf(source));
    EXPECT_EQ(shape, std::nullopt);
  }
  files_.Write("images", "P5 2 2");
  EXPECT_THAT(ImageShapeOf(source),
              StatusIs(absl::StatusCode::kInvalidArgument, "no IDX file"));
  source.kind = MixtureOptions{.rows = 2, .features = 6};
  ASSERT_OK_AND_ASSIGN(shape, ImageShapeOf(source));
  EXPECT_EQ(shape, std::nullopt);
}

TEST_F(IdxTest, KeepsTheRowsAskedFor) {
  const IdxOptions options = {files_.Write("images", images_),
                              files_.Write("labels", labels_)};
  const std::vector<int64_t> rows = {0, 2};
  ASSERT_OK_AND_ASSIGN(const auto e, LoadIdx<float>(options, RowFilter(rows)));
  EXPECT_EQ(e.rows, 2);
  EXPECT_THAT(e.target, ElementsAre(7, 9));
  EXPECT_EQ(e.dense.size(), 8u);
  EXPECT_EQ(e.dense[4], 8 / 255.0f);

  ASSERT_OK_AND_ASSIGN(
      const auto none,
      LoadIdx<float>(options, RowFilter(absl::Span<const int64_t>())));
  EXPECT_EQ(none.rows, 0);
  EXPECT_THAT(none.dense, IsEmpty());

  const std::vector<int64_t> beyond = {3};
  EXPECT_THAT(LoadIdx<float>(options, RowFilter(beyond)),
              StatusIs(absl::StatusCode::kInvalidArgument, "row 3"));
}

TEST_F(IdxTest, TakesOnlyTheRowsWithTheLabelsWanted) {
  IdxOptions options = {files_.Write("images", images_),
                        files_.Write("labels", labels_)};
  options.only = {9, 7};
  ASSERT_OK_AND_ASSIGN(const Examples<double> both, LoadIdx<double>(options));
  EXPECT_EQ(both.rows, 2);
  EXPECT_THAT(both.target, ElementsAre(7, 9));
  EXPECT_THAT(both.dense, ElementsAre(0, 1 / 255.0, 2 / 255.0, 3 / 255.0,
                                      8 / 255.0, 253 / 255.0, 254 / 255.0, 1));
  ASSERT_OK_AND_ASSIGN(const SourceTargets t, LoadIdxTargets(options));
  EXPECT_THAT(t.values, ElementsAre(7, 9));
  // A filter counts the rows that there are.
  const std::vector<int64_t> second = {1};
  ASSERT_OK_AND_ASSIGN(const Examples<double> one,
                       LoadIdx<double>(options, RowFilter(second)));
  EXPECT_THAT(one.target, ElementsAre(9));
  options.only = {1};
  EXPECT_THAT(LoadIdx<double>(options),
              StatusIs(absl::StatusCode::kInvalidArgument, "no row with any"));
}

TEST_F(IdxTest, RefusesWhatIsNoIdxFile) {
  ExpectRefused("", labels_, "no IDX file");
  ExpectRefused("P5 2 2", labels_, "no IDX file");
  ExpectRefused(images_, std::string(8, '\0'), "no IDX file");
  std::string floats = images_;
  floats[2] = 0x0d;
  ExpectRefused(floats, labels_, "IDX type 13");
  ExpectRefused(images_.substr(0, 9), labels_, "ends within its header");
}

TEST_F(IdxTest, RefusesWrongDimensions) {
  ExpectRefused(labels_, labels_, "has 1 dimensions, not 2 or more");
  ExpectRefused(images_, images_, "has 3 dimensions, not 1");
  ExpectRefused(IdxHeader({3, 0, 2}), labels_, "dimension of size 0");
  ExpectRefused(IdxHeader({0, 2, 2}), IdxHeader({0}), "dimension of size 0");
}

TEST_F(IdxTest, RefusesCountsThatDiffer) {
  ExpectRefused(images_, IdxHeader({2}) + "\1\2", "has 2 labels for the 3");
}

TEST_F(IdxTest, RefusesLengthsThatDifferFromTheHeader) {
  ExpectRefused(images_.substr(0, images_.size() - 1), labels_, "");
  ExpectRefused(images_, labels_.substr(0, labels_.size() - 1), "");
  ExpectRefused(images_ + "x", labels_, "longer than its header");
  ExpectRefused(images_, labels_ + "x", "longer than its header");
}

// None of these may take the memory that the header asks for; under
// AddressSanitizer such an allocation aborts.
TEST_F(IdxTest, RefusesHostileHeadersBeforeAllocating) {
  const uint32_t max = 0xffffffff;
  ExpectRefused(IdxHeader({max, 2, 2}) + pixels_, labels_, "it holds 28");
  ExpectRefused(IdxHeader({max, 28, 28}) + pixels_, labels_, "promises over");
  ExpectRefused(IdxHeader({3, max}) + pixels_, labels_, "it holds 24");
  ExpectRefused(IdxHeader({max, max, max, max}) + pixels_, labels_,
                "promises over");
  ExpectRefused(IdxHeader(std::vector<uint32_t>(255, max)), labels_,
                "promises over");
  ExpectRefused(images_, IdxHeader({max}) + "\1\2\3", "it holds 11");
}

TEST_F(IdxTest, ReportsGzipThatIsCutOff) {
  const std::string labels = files_.Write("labels", labels_);
  files_.WriteGzip("images.gz", images_);
  std::string cut = files_.Read("images.gz");
  cut.resize(cut.size() - 10);
  EXPECT_THAT(LoadIdx<float>({files_.Write("images.gz", cut), labels}),
              StatusIs(absl::StatusCode::kDataLoss, "cut off"));
}

TEST_F(IdxTest, NamesAMissingFile) {
  EXPECT_THAT(LoadIdx<float>({files_.Path("none"), files_.Path("none")}),
              StatusIs(absl::StatusCode::kNotFound, "none"));
}

}  // namespace
}  // namespace parley
