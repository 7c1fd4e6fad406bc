#include "common/data/dataset.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/data/targets.h"

namespace parley {
namespace {

template <typename T>
constexpr T kNothing = 0;  // what an empty dense array points at

// Copies the given rows of `from` into `to`, reusing its memory.
template <typename T>
void CopyRows(const Batch<T>& from, absl::Span<const int64_t> rows,
              Examples<T>& to) {
  to.rows = static_cast<int64_t>(rows.size());
  to.features = from.features;
  to.sparse = from.sparse();
  to.target.resize(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    PARLEY_CHECK(rows[i] >= 0 && rows[i] < from.rows);
    to.target[i] = from.target[rows[i]];
  }
  if (!to.sparse) {
    to.dense.resize(rows.size() * from.features);
    T* out = to.dense.data();
    for (const int64_t row : rows) {
      out = std::copy_n(from.dense + row * from.features, from.features, out);
    }
    return;
  }
  to.row_begin.resize(rows.size() + 1);
  to.row_begin[0] = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    to.row_begin[i + 1] =
        to.row_begin[i] + from.row_begin[rows[i] + 1] - from.row_begin[rows[i]];
  }
  to.column.resize(to.row_begin.back());
  to.value.resize(to.row_begin.back());
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t begin = from.row_begin[rows[i]];
    const int64_t n = to.row_begin[i + 1] - to.row_begin[i];
    std::copy_n(from.column + begin, n, to.column.data() + to.row_begin[i]);
    std::copy_n(from.value + begin, n, to.value.data() + to.row_begin[i]);
  }
}

// A view of rows [begin, end).
template <typename T>
Batch<T> View(const Examples<T>& examples, int64_t begin, int64_t end) {
  Batch<T> batch;
  batch.rows = end - begin;
  batch.features = examples.features;
  batch.target = examples.target.data() + begin;
  if (examples.sparse) {
    batch.row_begin = examples.row_begin.data() + begin;
    batch.column = examples.column.data();
    batch.value = examples.value.data();
  } else {
    batch.dense = examples.dense.empty()
                      ? &kNothing<T>
                      : examples.dense.data() + begin * examples.features;
  }
  return batch;
}

}  // namespace

absl::Status CheckDenseSize(int64_t rows, int64_t features) {
  if (features == 0 || rows <= kMaxDenseElements / features) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(
      absl::StrCat(rows, " rows of ", features, " features are over ",
                   kMaxDenseElements, " numbers, too many for a dense array"));
}

template <typename T>
Dataset<T>::Dataset(Examples<T> examples) : end_(examples.rows) {
  const auto rows = static_cast<size_t>(examples.rows);
  PARLEY_CHECK(examples.rows >= 0 && examples.features >= 0);
  PARLEY_CHECK(examples.target.size() == rows);
  if (examples.sparse) {
    PARLEY_CHECK(examples.row_begin.size() == rows + 1);
    PARLEY_CHECK(examples.row_begin.front() == 0);
    const auto entries = static_cast<size_t>(examples.row_begin.back());
    PARLEY_CHECK(examples.column.size() == entries);
    PARLEY_CHECK(examples.value.size() == entries);
  } else {
    PARLEY_CHECK(examples.dense.size() == rows * examples.features);
  }
  examples_ = std::make_shared<const Examples<T>>(std::move(examples));
}

template <typename T>
absl::Span<const T> Dataset<T>::targets() const {
  if (!examples_) return {};
  return absl::MakeConstSpan(examples_->target).subspan(begin_, rows());
}

template <typename T>
Batch<T> Dataset<T>::All() const {
  static const Examples<T> empty;
  return View(examples_ ? *examples_ : empty, begin_, end_);
}

template <typename T>
Dataset<T> Dataset<T>::Slice(int64_t begin, int64_t end) const {
  PARLEY_CHECK(0 <= begin && begin <= end && end <= rows());
  Dataset slice = *this;
  slice.begin_ = begin_ + begin;
  slice.end_ = begin_ + end;
  return slice;
}

template <typename T>
Dataset<T> Dataset<T>::Select(absl::Span<const int64_t> rows) const {
  Examples<T> selected;
  CopyRows(All(), rows, selected);
  return Dataset(std::move(selected));
}

template <typename T>
int64_t Dataset<T>::memory_bytes() const {
  if (!examples_) return 0;
  const Examples<T>& e = *examples_;
  return static_cast<int64_t>(
      (e.dense.size() + e.value.size() + e.target.size()) * sizeof(T) +
      e.row_begin.size() * sizeof(int64_t) + e.column.size() * sizeof(int32_t));
}

template <typename T>
Batch<T> DatasetSource<T>::Gather(absl::Span<const int64_t> rows) {
  CopyRows(data_.All(), rows, buffer_);
  return View(buffer_, 0, buffer_.rows);
}

template <typename T>
absl::StatusOr<TargetInfo> NormalizeTargets(TargetKind kind,
                                            Examples<T>& examples) {
  const std::vector<double> targets(examples.target.begin(),
                                    examples.target.end());
  PARLEY_ASSIGN_OR_RETURN(const TargetMap map,
                          TargetMap::Create(kind, targets));
  PARLEY_RETURN_IF_ERROR(map.Apply(absl::MakeSpan(examples.target)));
  return TargetInfo{map.classes()};
}

template class Dataset<float>;
template class Dataset<double>;
template class DatasetSource<float>;
template class DatasetSource<double>;
template absl::StatusOr<TargetInfo> NormalizeTargets(TargetKind,
                                                     Examples<float>&);
template absl::StatusOr<TargetInfo> NormalizeTargets(TargetKind,
                                                     Examples<double>&);

}  // namespace parley
