// Rows for the analysis' tests.
#ifndef PARLEY_TESTS_UNIT_ANALYSIS_ROWS_H_
#define PARLEY_TESTS_UNIT_ANALYSIS_ROWS_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "common/analysis/signed_rows.h"
#include "common/base/random.h"

namespace parley {

inline Dataset<double> DenseRows(std::vector<std::vector<double>> x,
                                 std::vector<double> y) {
  Examples<double> e;
  e.rows = static_cast<int64_t>(x.size());
  e.features = x.empty() ? 0 : static_cast<int64_t>(x[0].size());
  for (const auto& row : x)
    e.dense.insert(e.dense.end(), row.begin(), row.end());
  e.target = std::move(y);
  return Dataset<double>(std::move(e));
}

// The same numbers, stored sparse.
inline Dataset<double> SparseRows(const std::vector<std::vector<double>>& x,
                                  std::vector<double> y) {
  Examples<double> e;
  e.rows = static_cast<int64_t>(x.size());
  e.features = static_cast<int64_t>(x[0].size());
  e.sparse = true;
  e.row_begin.push_back(0);
  for (const auto& row : x) {
    for (size_t j = 0; j < row.size(); ++j) {
      if (row[j] == 0) continue;
      e.column.push_back(static_cast<int32_t>(j));
      e.value.push_back(row[j]);
    }
    e.row_begin.push_back(static_cast<int64_t>(e.value.size()));
  }
  e.target = std::move(y);
  return Dataset<double>(std::move(e));
}

inline SignedRows Signed(Dataset<double> data) {
  auto rows = SignedRows::Create(std::move(data));
  EXPECT_TRUE(rows.ok()) << rows.status();
  return *std::move(rows);
}

// Standard normal features, labels by coin: with more than twice as many rows
// as features no hyperplane separates them, almost surely (Cover 1965).
inline Dataset<double> Noise(int64_t rows, int64_t features, uint64_t seed) {
  Rng rng(seed, "noise");
  std::vector<std::vector<double>> x(rows, std::vector<double>(features));
  std::vector<double> y(rows);
  for (int64_t n = 0; n < rows; ++n) {
    for (double& v : x[n]) v = rng.Normal();
    y[n] = rng.Below(2) == 0 ? -1 : 1;
  }
  return DenseRows(std::move(x), std::move(y));
}

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_ANALYSIS_ROWS_H_
