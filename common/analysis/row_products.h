// The products of rows with a point that moves along rows, as dual coordinate
// descent needs them.
#ifndef PARLEY_COMMON_ANALYSIS_ROW_PRODUCTS_H_
#define PARLEY_COMMON_ANALYSIS_ROW_PRODUCTS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/analysis/signed_rows.h"

namespace parley {

// Σ a_n·z_n, `features` numbers; `a` has one a row.
std::vector<double> CombineRows(const SignedRows& rows,
                                absl::Span<const double> a);

// z_n · w for w = v + Σ a_n·z_n, where one a_n changes after another. Works on
// the rows' Gram matrix where there are fewer rows than numbers in a row, else
// on w itself. Borrows `rows`.
class RowProducts {
 public:
  explicit RowProducts(const SignedRows& rows);

  // From scratch, which also ends what rounding errors add up to. An empty v
  // is 0.
  void Reset(absl::Span<const double> a, absl::Span<const double> v = {});
  double Of(int64_t n) const {
    return gram_.empty() ? rows_.Dot(n, state_) : state_[n];
  }
  // Numbers that Of and Change go over for all rows, about.
  double pass_work() const;
  // a_n += change.
  void Change(int64_t n, double change);

 private:
  const SignedRows& rows_;
  const std::vector<double> gram_;  // empty: works on w
  std::vector<double> state_;       // z_n·w of all rows, or w
};

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_ROW_PRODUCTS_H_
