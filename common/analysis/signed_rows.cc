#include "common/analysis/signed_rows.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/kernels/kernels.h"
#include "common/model/batch_ops.h"

namespace parley {
namespace {

constexpr int64_t kOuterRows = 256;  // dense ones, at once

}  // namespace

absl::StatusOr<SignedRows> SignedRows::Create(Dataset<double> data) {
  SignedRows rows(std::move(data));
  if (rows.rows() == 0) return absl::InvalidArgumentError("there are no rows");
  for (int64_t n = 0; n < rows.rows(); ++n) {
    const double y = rows.batch_.target[n];
    if (y != 1 && y != -1) {
      return absl::InvalidArgumentError(
          absl::StrCat("row ", n, " has the label ", y, ", which is not ±1"));
    }
    if (!std::isfinite(rows.squared_norms_[n])) {
      return absl::InvalidArgumentError(absl::StrCat(
          "row ", n, " has numbers that are too large or not finite"));
    }
  }
  return rows;
}

SignedRows::SignedRows(Dataset<double> data)
    : data_(std::move(data)), batch_(data_.All()) {
  const Kernels<double>& k = KernelsFor<double>();
  squared_norms_.resize(batch_.rows);
  for (int64_t n = 0; n < batch_.rows; ++n) {
    if (batch_.sparse()) {
      const int64_t begin = batch_.row_begin[n];
      const double* const x = batch_.value + begin;
      squared_norms_[n] = k.dot(batch_.row_begin[n + 1] - begin, x, x);
    } else {
      const double* const x = batch_.dense + n * batch_.features;
      squared_norms_[n] = k.dot(batch_.features, x, x);
    }
  }
}

double SignedRows::Dot(int64_t row, absl::Span<const double> w) const {
  const double y = batch_.target[row];
  if (!batch_.sparse()) {
    return y * KernelsFor<double>().dot(batch_.features,
                                        batch_.dense + row * batch_.features,
                                        w.data());
  }
  double sum = 0;
  for (int64_t i = batch_.row_begin[row]; i < batch_.row_begin[row + 1]; ++i) {
    sum += batch_.value[i] * w[batch_.column[i]];
  }
  return y * sum;
}

void SignedRows::Dots(int64_t begin, int64_t end, absl::Span<const double> w,
                      double* margins) const {
  const Batch<double> range = RowRange(batch_, begin, end);
  MultiplyBatch(range, 1, w.data(), margins);
  for (int64_t n = 0; n < range.rows; ++n) margins[n] *= range.target[n];
}

void SignedRows::AddAll(int64_t begin, int64_t end, double* a,
                        absl::Span<double> w) const {
  const Batch<double> range = RowRange(batch_, begin, end);
  for (int64_t n = 0; n < range.rows; ++n) a[n] *= range.target[n];
  AddTransposed(range, 1, a, w.data());
}

void SignedRows::Add(int64_t row, double a, absl::Span<double> w) const {
  a *= batch_.target[row];
  if (!batch_.sparse()) {
    return KernelsFor<double>().axpy(
        batch_.features, a, batch_.dense + row * batch_.features, w.data());
  }
  for (int64_t i = batch_.row_begin[row]; i < batch_.row_begin[row + 1]; ++i) {
    w[batch_.column[i]] += a * batch_.value[i];
  }
}

void SignedRows::AddSquares(int64_t row, double a,
                            absl::Span<double> sums) const {
  if (!batch_.sparse()) {
    const double* const x = batch_.dense + row * batch_.features;
    for (int64_t j = 0; j < batch_.features; ++j) sums[j] += a * x[j] * x[j];
    return;
  }
  for (int64_t i = batch_.row_begin[row]; i < batch_.row_begin[row + 1]; ++i) {
    sums[batch_.column[i]] += a * batch_.value[i] * batch_.value[i];
  }
}

void SignedRows::AddOuterProducts(absl::Span<const double> a,
                                  absl::Span<double> lower) const {
  const int64_t d = features();  // z·zᵀ = x·xᵀ, as y² = 1
  if (batch_.sparse()) {
    for (int64_t n = 0; n < rows(); ++n) {
      if (a[n] == 0) continue;
      const int64_t end = batch_.row_begin[n + 1];
      for (int64_t j = batch_.row_begin[n]; j < end; ++j) {
        double* const column = lower.data() + batch_.column[j] * d;
        const double scale = a[n] * batch_.value[j];
        for (int64_t i = j; i < end; ++i) {
          column[batch_.column[i]] += scale * batch_.value[i];
        }
      }
    }
    return;
  }
  Eigen::Map<Eigen::MatrixXd> sum(lower.data(), d, d);
  Eigen::MatrixXd block(d, std::min(kOuterRows, rows()));
  int64_t filled = 0;
  for (int64_t n = 0; n < rows(); ++n) {
    if (a[n] != 0) {
      block.col(filled++) = std::sqrt(a[n]) * Eigen::Map<const Eigen::VectorXd>(
                                                  batch_.dense + n * d, d);
    }
    if (filled == block.cols() || n + 1 == rows()) {
      sum.selfadjointView<Eigen::Lower>().rankUpdate(block.leftCols(filled));
      filled = 0;
    }
  }
}

std::vector<double> SignedRows::Gram() const {
  std::vector<double> gram(rows() * rows());
  std::vector<double> z(features());
  for (int64_t i = 0; i < rows(); ++i) {
    z.assign(features(), 0.0);
    Add(i, 1, absl::MakeSpan(z));
    for (int64_t j = 0; j <= i; ++j) {
      gram[i * rows() + j] = gram[j * rows() + i] = Dot(j, z);
    }
  }
  return gram;
}

std::vector<double> SignedRows::Margins(absl::Span<const double> w) const {
  std::vector<double> margins(rows());
  for (int64_t n = 0; n < rows(); ++n) margins[n] = Dot(n, w);
  return margins;
}

}  // namespace parley
