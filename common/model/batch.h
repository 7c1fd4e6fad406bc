// Examples as a model sees them: a view of rows, dense or sparse.
#ifndef PARLEY_COMMON_MODEL_BATCH_H_
#define PARLEY_COMMON_MODEL_BATCH_H_

#include <cstdint>

namespace parley {

// Owns nothing. T is float or double.
template <typename T>
struct Batch {
  int64_t rows = 0;
  int64_t features = 0;

  // Dense: rows×features, row-major. Null where the batch is sparse.
  const T* dense = nullptr;

  // Sparse (CSR): row r holds entries [row_begin[r], row_begin[r + 1]) of
  // `column` (0-based, rising) and `value`. The first row_begin may be > 0.
  const int64_t* row_begin = nullptr;  // rows + 1 of them
  const int32_t* column = nullptr;
  const T* value = nullptr;

  // One a row: a class index 0, 1, ...; ±1; or a real number.
  const T* target = nullptr;

  bool sparse() const { return dense == nullptr; }
};

}  // namespace parley

#endif  // PARLEY_COMMON_MODEL_BATCH_H_
