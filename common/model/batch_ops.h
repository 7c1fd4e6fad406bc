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

}  // namespace parley

#endif  // PARLEY_COMMON_MODEL_BATCH_OPS_H_
