// A file of named tensors, opened for reading: what the two formats have in
// common.
#ifndef PARLEY_COMMON_FILES_TENSOR_FILE_H_
#define PARLEY_COMMON_FILES_TENSOR_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "common/model/parameters.h"

namespace parley {

struct FileTensor {
  std::string name;
  DType dtype = DType::kFloat32;  // in the file
  std::vector<int64_t> shape;
  int64_t elements = 0;  // the product of shape
};

// All that the file says of names, types, shapes, and places was checked when
// it was opened. Thread-compatible.
class TensorFile {
 public:
  virtual ~TensorFile() = default;
  virtual const std::vector<FileTensor>& tensors() const = 0;  // as they lie
  // Writes the elements of a tensor, row-major, as numbers of type `to`.
  // DataLoss or InvalidArgument where the file turns out to be damaged.
  virtual absl::Status Read(size_t tensor, DType to, char* out) = 0;
};

// The product of the extents. InvalidArgument: one of them < 0, or more than
// 2^40 elements.
absl::StatusOr<int64_t> ElementsOf(const std::vector<int64_t>& shape);

// Fills `out` with `elements` numbers of type `to`, made from numbers of type
// `from`. read(out, bytes) gives the next bytes of the source; no more than a
// small block of it is in memory where the types differ.
absl::Status ReadConverted(
    DType from, DType to, int64_t elements, char* out,
    absl::FunctionRef<absl::Status(char* out, uint64_t bytes)> read);

}  // namespace parley

#endif  // PARLEY_COMMON_FILES_TENSOR_FILE_H_
