#include "common/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "common/base/random.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using testing::ElementsAre;

constexpr int64_t kRows = 37;
constexpr int64_t kFeatures = 11;

// The same random numbers, a third of them not zero, as a plain table.
template <typename T>
std::vector<std::vector<T>> Table() {
  Rng rng(5, "table");
  std::vector<std::vector<T>> table(kRows, std::vector<T>(kFeatures));
  for (auto& row : table) {
    for (T& x : row) x = rng.Below(3) == 0 ? static_cast<T>(rng.Normal()) : 0;
  }
  return table;
}

template <typename T>
Dataset<T> MakeSet(bool sparse) {
  Examples<T> e;
  e.rows = kRows;
  e.features = kFeatures;
  e.sparse = sparse;
  if (sparse) e.row_begin.push_back(0);
  for (const auto& row : Table<T>()) {
    e.target.push_back(static_cast<T>(e.target.size()));
    for (int64_t k = 0; k < kFeatures; ++k) {
      if (!sparse) {
        e.dense.push_back(row[k]);
      } else if (row[k] != 0) {
        e.column.push_back(static_cast<int32_t>(k));
        e.value.push_back(row[k]);
      }
    }
    if (sparse) e.row_begin.push_back(e.column.size());
  }
  return Dataset<T>(std::move(e));
}

// Row r of `batch` must be row rows[r] of the table.
template <typename T>
void ExpectRows(const Batch<T>& batch, const std::vector<int64_t>& rows) {
  const auto table = Table<T>();
  ASSERT_EQ(batch.rows, static_cast<int64_t>(rows.size()));
  ASSERT_EQ(batch.features, kFeatures);
  for (size_t r = 0; r < rows.size(); ++r) {
    EXPECT_EQ(batch.target[r], static_cast<T>(rows[r]));
    std::vector<T> row(kFeatures);
    if (batch.sparse()) {
      for (int64_t k = batch.row_begin[r]; k < batch.row_begin[r + 1]; ++k) {
        row[batch.column[k]] = batch.value[k];
      }
    } else {
      row.assign(batch.dense + r * kFeatures,
                 batch.dense + (r + 1) * kFeatures);
    }
    EXPECT_EQ(row, table[rows[r]]) << r;
  }
}

std::vector<int64_t> Range(int64_t begin, int64_t end) {
  std::vector<int64_t> rows(end - begin);
  std::iota(rows.begin(), rows.end(), begin);
  return rows;
}

template <typename P>
class DatasetTest : public testing::Test {};
template <typename Number, bool kSparse>
struct Kind {
  using T = Number;
  static constexpr bool sparse = kSparse;
};
using Kinds = testing::Types<Kind<float, false>, Kind<float, true>,
                             Kind<double, false>, Kind<double, true>>;
TYPED_TEST_SUITE(DatasetTest, Kinds);

TYPED_TEST(DatasetTest, ShowsAllRows) {
  const auto set = MakeSet<typename TypeParam::T>(TypeParam::sparse);
  EXPECT_EQ(set.rows(), kRows);
  EXPECT_EQ(set.features(), kFeatures);
  EXPECT_EQ(set.sparse(), TypeParam::sparse);
  EXPECT_EQ(set.All().sparse(), TypeParam::sparse);
  ExpectRows(set.All(), Range(0, kRows));
}

TYPED_TEST(DatasetTest, SlicesOfSlicesShareTheMemory) {
  const auto set = MakeSet<typename TypeParam::T>(TypeParam::sparse);
  const auto slice = set.Slice(5, 30).Slice(3, 20);
  ExpectRows(slice.All(), Range(8, 25));
  EXPECT_EQ(slice.All().target, set.All().target + 8);
  EXPECT_EQ(slice.targets().size(), 17u);
  EXPECT_EQ(slice.targets()[0], 8);
  EXPECT_EQ(slice.memory_bytes(), set.memory_bytes());
}

TYPED_TEST(DatasetTest, SelectsInTheOrderGiven) {
  const auto set = MakeSet<typename TypeParam::T>(TypeParam::sparse);
  ExpectRows(set.Select({9, 3, 3, 36, 0}).All(), {9, 3, 3, 36, 0});
  ExpectRows(set.Slice(10, 20).Select({9, 0}).All(), {19, 10});
  ExpectRows(set.Select({9, 3, 5}).Slice(1, 3).Select({1, 0}).All(), {5, 3});
}

TYPED_TEST(DatasetTest, GathersAgainAndAgain) {
  const auto set = MakeSet<typename TypeParam::T>(TypeParam::sparse);
  DatasetSource<typename TypeParam::T> source(set.Slice(4, 34));
  EXPECT_EQ(source.rows(), 30);
  ExpectRows(source.All(), Range(4, 34));
  Rng rng(6, "gather");
  for (int i = 0; i < 20; ++i) {
    std::vector<int64_t> rows =
        rng.Sample(30, static_cast<int64_t>(rng.Below(31)));
    const auto batch = source.Gather(rows);
    for (int64_t& row : rows) row += 4;
    ExpectRows(batch, rows);
  }
}

TYPED_TEST(DatasetTest, EmptySetsKeepTheirKind) {
  const auto set = MakeSet<typename TypeParam::T>(TypeParam::sparse);
  for (const auto& empty : {set.Slice(7, 7), set.Select({})}) {
    EXPECT_EQ(empty.rows(), 0);
    EXPECT_EQ(empty.All().sparse(), TypeParam::sparse);
    EXPECT_TRUE(empty.targets().empty());
  }
}

TEST(DatasetPlainTest, ADefaultSetIsEmpty) {
  const Dataset<float> none;
  EXPECT_EQ(none.rows(), 0);
  EXPECT_EQ(none.features(), 0);
  EXPECT_FALSE(none.All().sparse());
  EXPECT_EQ(none.memory_bytes(), 0);
  EXPECT_EQ(none.Slice(0, 0).rows(), 0);
}

TEST(DatasetPlainTest, CountsItsMemory) {
  EXPECT_EQ(MakeSet<float>(false).memory_bytes(), kRows * (kFeatures + 1) * 4);
  const auto sparse = MakeSet<double>(true);
  const int64_t entries = sparse.All().row_begin[kRows];
  EXPECT_EQ(sparse.memory_bytes(), entries * 12 + (kRows + 1) * 8 + kRows * 8);
}

TEST(NormalizeTargetsTest, StandsByItself) {
  Examples<float> e;
  e.rows = 3;
  e.target = {2, 1, 2};
  ASSERT_OK_AND_ASSIGN(const TargetInfo info,
                       NormalizeTargets(TargetKind::kSign, e));
  EXPECT_EQ(info.classes, 2);
  EXPECT_THAT(e.target, ElementsAre(1, -1, 1));

  e.target = {2, 0, 1.5};
  EXPECT_THAT(
      NormalizeTargets(TargetKind::kClass, e),
      StatusIs(absl::StatusCode::kInvalidArgument, "the target 1.5 of row 2"));
  EXPECT_THAT(NormalizeTargets(TargetKind::kSign, e),
              StatusIs(absl::StatusCode::kInvalidArgument, "third label"));
  ASSERT_OK_AND_ASSIGN(const TargetInfo real,
                       NormalizeTargets(TargetKind::kReal, e));
  EXPECT_EQ(real.classes, 0);
}

}  // namespace
}  // namespace parley
