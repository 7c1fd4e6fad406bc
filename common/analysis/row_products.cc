#include "common/analysis/row_products.h"

#include <algorithm>

#include "common/kernels/kernels.h"

namespace parley {
namespace {

// Above it a Gram matrix takes too much memory: 512 MiB.
constexpr int64_t kMostGramRows = 8192;

bool GramIsCheaper(const SignedRows& rows) {
  return rows.rows() < rows.stored() / rows.rows() &&
         rows.rows() <= kMostGramRows;
}

}  // namespace

std::vector<double> CombineRows(const SignedRows& rows,
                                absl::Span<const double> a) {
  std::vector<double> w(rows.features());
  for (int64_t n = 0; n < rows.rows(); ++n) {
    if (a[n] != 0) rows.Add(n, a[n], absl::MakeSpan(w));
  }
  return w;
}

RowProducts::RowProducts(const SignedRows& rows)
    : rows_(rows),
      gram_(GramIsCheaper(rows) ? rows.Gram() : std::vector<double>()),
      state_(gram_.empty() ? rows.features() : rows.rows()) {}

void RowProducts::Reset(absl::Span<const double> a,
                        absl::Span<const double> v) {
  if (v.empty()) {
    std::fill(state_.begin(), state_.end(), 0.0);
  } else if (gram_.empty()) {
    state_.assign(v.begin(), v.end());
  } else {
    state_ = rows_.Margins(v);
  }
  for (int64_t n = 0; n < rows_.rows(); ++n) {
    if (a[n] != 0) Change(n, a[n]);
  }
}

double RowProducts::pass_work() const {
  const double rows = static_cast<double>(rows_.rows());
  return gram_.empty() ? rows + 2 * static_cast<double>(rows_.stored())
                       : rows * (1 + rows);
}

void RowProducts::Change(int64_t n, double change) {
  if (gram_.empty()) return rows_.Add(n, change, absl::MakeSpan(state_));
  KernelsFor<double>().axpy(rows_.rows(), change,
                            gram_.data() + n * rows_.rows(), state_.data());
}

}  // namespace parley
