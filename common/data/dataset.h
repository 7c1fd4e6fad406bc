// Labelled examples in memory, dense or sparse, immutable once made.
#ifndef PARLEY_COMMON_DATA_DATASET_H_
#define PARLEY_COMMON_DATA_DATASET_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/batch.h"
#include "common/model/local_solver.h"
#include "common/model/model.h"

namespace parley {

// Dense arrays of more elements than this are refused, with an error, by all
// that makes them: 16 GiB of float.
constexpr int64_t kMaxDenseElements = int64_t{1} << 32;

// The arrays behind a data set: rows of features and one target a row.
template <typename T>
struct Examples {
  int64_t rows = 0;
  int64_t features = 0;
  bool sparse = false;
  std::vector<T> dense;            // rows×features, row-major
  std::vector<int64_t> row_begin;  // CSR, rows + 1
  std::vector<int32_t> column;     // 0-based, rising within a row
  std::vector<T> value;
  std::vector<T> target;  // as the source has it
};

// ResourceExhausted where rows×features > kMaxDenseElements.
absl::Status CheckDenseSize(int64_t rows, int64_t features);

// A view of rows [begin, end) of shared arrays: copying and slicing are cheap,
// and slices of one set share its memory. Thread-safe (immutable).
template <typename T>
class Dataset {
 public:
  Dataset() = default;
  explicit Dataset(Examples<T> examples);

  int64_t rows() const { return end_ - begin_; }
  int64_t features() const { return examples_ ? examples_->features : 0; }
  bool sparse() const { return examples_ && examples_->sparse; }
  absl::Span<const T> targets() const;

  Batch<T> All() const;
  // Rows [begin, end) of this view.
  Dataset Slice(int64_t begin, int64_t end) const;
  // A new set of the given rows, in that order; copies.
  Dataset Select(absl::Span<const int64_t> rows) const;
  // The bytes of the arrays behind it.
  int64_t memory_bytes() const;

 private:
  std::shared_ptr<const Examples<T>> examples_;  // shared by all slices
  int64_t begin_ = 0;
  int64_t end_ = 0;
};

// A client's rows as a solver takes them; keeps one gather buffer.
template <typename T>
class DatasetSource final : public BatchSource<T> {
 public:
  explicit DatasetSource(Dataset<T> data) : data_(std::move(data)) {}
  int64_t rows() const override { return data_.rows(); }
  Batch<T> All() const override { return data_.All(); }
  Batch<T> Gather(absl::Span<const int64_t> rows) override;

 private:
  Dataset<T> data_;
  Examples<T> buffer_;
};

// Brings targets into the form that a model takes and tells the classes there
// are. kSign: two distinct labels become −1 and +1 by order (0/1, 1/2, ±1).
// kClass: labels become 0, 1, ... : integers >= 0 stay as they are, other
// integers are ranked. kReal: any finite number. For a set that stands by
// itself; parts of one set share a TargetMap (targets.h).
// InvalidArgument: labels that do not fit, naming the first one and its row.
struct TargetInfo {
  int64_t classes = 0;  // kClass: highest label + 1; kSign: 2
};
template <typename T>
absl::StatusOr<TargetInfo> NormalizeTargets(TargetKind kind,
                                            Examples<T>& examples);

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_DATASET_H_
