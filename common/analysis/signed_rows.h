// Binary examples as the analysis of linear models takes them: z = y·x.
#ifndef PARLEY_COMMON_ANALYSIS_SIGNED_ROWS_H_
#define PARLEY_COMMON_ANALYSIS_SIGNED_ROWS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/data/dataset.h"

namespace parley {

// Rows z_n of `features` numbers, dense or sparse. Immutable; copies share the
// numbers.
class SignedRows {
 public:
  // InvalidArgument: no rows, a target other than ±1, or a number that is not
  // finite, with its row.
  static absl::StatusOr<SignedRows> Create(Dataset<double> data);

  int64_t rows() const { return batch_.rows; }
  int64_t features() const { return batch_.features; }
  // Numbers stored, of all rows.
  int64_t stored() const {
    return batch_.sparse() ? batch_.row_begin[rows()] - batch_.row_begin[0]
                           : rows() * features();
  }
  double squared_norm(int64_t row) const { return squared_norms_[row]; }

  // z_row · w.
  double Dot(int64_t row, absl::Span<const double> w) const;
  // The same for rows [begin, end), into `margins`.
  void Dots(int64_t begin, int64_t end, absl::Span<const double> w,
            double* margins) const;
  // w += a · z_row.
  void Add(int64_t row, double a, absl::Span<double> w) const;
  // w += Σ a_n·z_n over rows [begin, end), a_begin first. Overwrites a.
  void AddAll(int64_t begin, int64_t end, double* a,
              absl::Span<double> w) const;
  // sums += a · z_row², element by element.
  void AddSquares(int64_t row, double a, absl::Span<double> sums) const;
  // lower += Σ a_n·z_n·z_nᵀ, of which only the lower triangle is touched:
  // features×features numbers, column by column. a_n >= 0, one a row.
  void AddOuterProducts(absl::Span<const double> a,
                        absl::Span<double> lower) const;
  // z_i · z_j for all pairs, rows×rows.
  std::vector<double> Gram() const;
  // z_row · w for all rows.
  std::vector<double> Margins(absl::Span<const double> w) const;

 private:
  explicit SignedRows(Dataset<double> data);

  Dataset<double> data_;
  Batch<double> batch_;  // of data_
  std::vector<double> squared_norms_;
};

}  // namespace parley

#endif  // PARLEY_COMMON_ANALYSIS_SIGNED_ROWS_H_
