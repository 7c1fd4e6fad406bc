// Which rows of a source a loader keeps, so that a client of many holds only
// its own.
#ifndef PARLEY_COMMON_DATA_ROW_FILTER_H_
#define PARLEY_COMMON_DATA_ROW_FILTER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/log.h"

namespace parley {

// Passed by value: each loader goes through its own copy.
class RowFilter {
 public:
  RowFilter() = default;  // every row
  // These rows, rising; borrowed.
  explicit RowFilter(absl::Span<const int64_t> rows)
      : every_(false), rows_(rows) {
    for (size_t i = 0; i < rows.size(); ++i) {
      PARLEY_CHECK(rows[i] > (i == 0 ? -1 : rows[i - 1]));
    }
  }

  bool every() const { return every_; }
  // How many of `total` rows it keeps.
  int64_t count(int64_t total) const {
    return every_ ? total : static_cast<int64_t>(rows_.size());
  }
  // Whether to keep `row`; to be asked for 0, 1, 2, ... in turn.
  bool Keeps(int64_t row) {
    if (every_) return true;
    if (next_ == rows_.size() || rows_[next_] != row) return false;
    ++next_;
    return true;
  }
  // InvalidArgument: a row beyond the `total` that there are.
  absl::Status Check(int64_t total) const {
    if (every_ || rows_.empty() || rows_.back() < total) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        absl::StrCat("row ", rows_.back(), " is wanted of ", total, " rows"));
  }

 private:
  bool every_ = true;
  absl::Span<const int64_t> rows_;
  size_t next_ = 0;
};

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_ROW_FILTER_H_
