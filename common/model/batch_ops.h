// Products with the rows of a batch, dense or sparse, for the models.
#ifndef PARLEY_COMMON_MODEL_BATCH_OPS_H_
#define PARLEY_COMMON_MODEL_BATCH_OPS_H_

#include <cstdint>

#include "common/model/batch.h"

namespace parley {

// Rows [begin, end) of `batch`, as a batch.
template <typename T>
Batch<T> RowRange(const Batch<T>& batch, int64_t begin, int64_t end);

// z[rows×outputs] = X·wᵀ, where w is outputs×features.
template <typename T>
void MultiplyBatch(const Batch<T>& batch, int64_t outputs, const T* w, T* z);

// gradient[outputs×features] += dᵀ·X, where d is rows×outputs.
template <typename T>
void AddTransposed(const Batch<T>& batch, int64_t outputs, const T* d,
                   T* gradient);

// The sum in double, in an order that depends on n alone: four partial sums, so
// that one addition need not wait for the one before.
template <typename T>
double Sum(int64_t n, const T* x) {
  double a = 0, b = 0, c = 0, d = 0;
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    a += static_cast<double>(x[i]);
    b += static_cast<double>(x[i + 1]);
    c += static_cast<double>(x[i + 2]);
    d += static_cast<double>(x[i + 3]);
  }
  for (; i < n; ++i) a += static_cast<double>(x[i]);
  return (a + b) + (c + d);
}

}  // namespace parley

#endif  // PARLEY_COMMON_MODEL_BATCH_OPS_H_
