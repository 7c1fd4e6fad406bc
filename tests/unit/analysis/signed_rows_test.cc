#include "common/analysis/signed_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/status_matchers.h"
#include "tests/unit/analysis/rows.h"

namespace parley {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;

const std::vector<std::vector<double>> kX = {{1, 0, 2}, {0, -3, 0.5}};

TEST(SignedRowsTest, DenseAndSparseRowsAreMultipliedByTheirLabels) {
  for (const bool sparse : {false, true}) {
    const SignedRows rows =
        Signed(sparse ? SparseRows(kX, {1, -1}) : DenseRows(kX, {1, -1}));
    EXPECT_EQ(rows.rows(), 2);
    EXPECT_EQ(rows.features(), 3);
    EXPECT_DOUBLE_EQ(rows.squared_norm(1), 9.25);
    const std::vector<double> w = {1, 2, 4};
    EXPECT_DOUBLE_EQ(rows.Dot(0, w), 9);
    EXPECT_DOUBLE_EQ(rows.Dot(1, w), 4);
    EXPECT_THAT(rows.Margins(w), ElementsAre(9, 4));
    std::vector<double> sum = {1, 1, 1};
    rows.Add(1, 2, absl::MakeSpan(sum));
    EXPECT_THAT(sum, ElementsAre(1, 7, 0));
    rows.AddSquares(1, 2, absl::MakeSpan(sum));
    EXPECT_THAT(sum, ElementsAre(1, 25, 0.5));
    EXPECT_THAT(rows.Gram(), ElementsAre(5, -1, -1, DoubleEq(9.25)));
  }
}

TEST(SignedRowsTest, WrongRowsAreRefusedByNumber) {
  constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(SignedRows::Create(DenseRows({}, {})),
              StatusIs(kInvalid, "no rows"));
  EXPECT_THAT(SignedRows::Create(DenseRows(kX, {1, 0})),
              StatusIs(kInvalid, "row 1 has the label 0"));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(SignedRows::Create(DenseRows({{1}, {nan}}, {1, 1})),
              StatusIs(kInvalid, "row 1 has numbers"));
}

TEST(SignedRowsTest, OuterProductsAreThoseOfEachRow) {
  const std::vector<std::vector<double>> x = {{1, 0, 2}, {0, 3, -1}, {4, 5, 6}};
  const std::vector<double> y = {1, -1, 1}, a = {0.5, 2, 0};
  for (const SignedRows& rows :
       {Signed(DenseRows(x, y)), Signed(SparseRows(x, y))}) {
    std::vector<double> lower(9, 1.0);
    rows.AddOuterProducts(a, absl::MakeSpan(lower));
    for (int j = 0; j < 3; ++j) {
      for (int i = 0; i < 3; ++i) {
        double want = 1;
        for (int n = 0; n < 3 && i >= j; ++n) want += a[n] * x[n][i] * x[n][j];
        EXPECT_DOUBLE_EQ(lower[3 * j + i], want) << i << " " << j;
      }
    }
  }
}

}  // namespace
}  // namespace parley
