#include "common/model/batch_ops.h"

#include "common/kernels/kernels.h"

namespace parley {

template <typename T>
Batch<T> RowRange(const Batch<T>& batch, int64_t begin, int64_t end) {
  Batch<T> range = batch;
  range.rows = end - begin;
  if (batch.sparse()) {
    range.row_begin += begin;
  } else {
    range.dense += begin * batch.features;
  }
  if (batch.target != nullptr) range.target += begin;
  return range;
}

template <typename T>
void MultiplyBatch(const Batch<T>& batch, int64_t outputs, const T* w, T* z) {
  if (!batch.sparse()) {
    KernelsFor<T>().gemm(false, true, batch.rows, outputs, batch.features, T{1},
                         batch.dense, w, T{0}, z);
    return;
  }
  for (int64_t r = 0; r < batch.rows; ++r) {
    const int64_t begin = batch.row_begin[r], end = batch.row_begin[r + 1];
    for (int64_t o = 0; o < outputs; ++o) {
      const T* weights = w + o * batch.features;
      T sum = 0;
      for (int64_t i = begin; i < end; ++i) {
        sum += weights[batch.column[i]] * batch.value[i];
      }
      z[r * outputs + o] = sum;
    }
  }
}

template <typename T>
void AddTransposed(const Batch<T>& batch, int64_t outputs, const T* d,
                   T* gradient) {
  if (!batch.sparse()) {
    KernelsFor<T>().gemm(true, false, outputs, batch.features, batch.rows, T{1},
                         d, batch.dense, T{1}, gradient);
    return;
  }
  for (int64_t r = 0; r < batch.rows; ++r) {
    const int64_t begin = batch.row_begin[r], end = batch.row_begin[r + 1];
    for (int64_t o = 0; o < outputs; ++o) {
      const T slope = d[r * outputs + o];
      if (slope == 0) continue;  // a unit that is off, as many are
      T* row = gradient + o * batch.features;
      for (int64_t i = begin; i < end; ++i) {
        row[batch.column[i]] += slope * batch.value[i];
      }
    }
  }
}

template Batch<float> RowRange(const Batch<float>&, int64_t, int64_t);
template Batch<double> RowRange(const Batch<double>&, int64_t, int64_t);
template void MultiplyBatch(const Batch<float>&, int64_t, const float*, float*);
template void MultiplyBatch(const Batch<double>&, int64_t, const double*,
                            double*);
template void AddTransposed(const Batch<float>&, int64_t, const float*, float*);
template void AddTransposed(const Batch<double>&, int64_t, const double*,
                            double*);

}  // namespace parley
