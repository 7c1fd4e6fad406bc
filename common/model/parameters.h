// A model's parameters: one flat array of float or double, and the spec that
// says which tensor lies where.
#ifndef PARLEY_COMMON_MODEL_PARAMETERS_H_
#define PARLEY_COMMON_MODEL_PARAMETERS_H_

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace parley {

enum class DType { kFloat32, kFloat64 };
constexpr size_t SizeOf(DType t) { return t == DType::kFloat32 ? 4 : 8; }
const char* Name(DType t);  // "float32", "float64"

template <typename T>
constexpr DType DTypeOf() {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
  return std::is_same_v<T, float> ? DType::kFloat32 : DType::kFloat64;
}

// How the coordinator merges a tensor; see MergeRule in model.proto.
enum class MergeRule { kMean, kLocal, kCopy };

struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;  // row-major; empty for a scalar
  MergeRule merge = MergeRule::kMean;

  int64_t elements() const;
  bool operator==(const TensorSpec&) const = default;
};

// Immutable; cheap to copy only when small.
class ParameterSpec {
 public:
  ParameterSpec() = default;
  // InvalidArgument: a name empty, twice or with other characters than letters,
  // digits and . _ - / :, an extent < 0, or over 2^40 elements in all.
  static absl::StatusOr<ParameterSpec> Create(DType dtype,
                                              std::vector<TensorSpec> tensors);

  DType dtype() const { return dtype_; }
  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  int64_t offset(size_t tensor) const {
    return offsets_[tensor];
  }  // in elements
  int64_t elements() const { return elements_; }
  int64_t bytes() const {
    return elements_ * static_cast<int64_t>(SizeOf(dtype_));
  }
  // XXH3-64 of a canonical text of the spec: equal specs, equal hashes, on
  // every machine. common/wire/FORMAT.md gives the text.
  uint64_t Hash() const;
  // The text that Hash() hashes: "float32;name[2,3]mean;..."; for people too.
  std::string ToString() const;

  bool operator==(const ParameterSpec&) const = default;

 private:
  DType dtype_ = DType::kFloat32;
  std::vector<TensorSpec> tensors_;
  std::vector<int64_t> offsets_;
  int64_t elements_ = 0;
};

// Owns the numbers: 64-byte aligned, zero when new. Movable, copied only by
// Clone(). Thread-compatible.
class ParameterVector {
 public:
  ParameterVector() = default;
  ParameterVector(DType dtype, int64_t elements);
  // Its numbers are whatever they are: for whoever writes all of them.
  static ParameterVector Uninitialized(DType dtype, int64_t elements);

  DType dtype() const { return dtype_; }
  int64_t elements() const { return elements_; }
  int64_t bytes() const {
    return elements_ * static_cast<int64_t>(SizeOf(dtype_));
  }
  char* data() { return data_.get(); }
  const char* data() const { return data_.get(); }

  // T must match dtype().
  template <typename T>
  absl::Span<T> As() {
    Expect(DTypeOf<T>());
    return {reinterpret_cast<T*>(data_.get()), static_cast<size_t>(elements_)};
  }
  template <typename T>
  absl::Span<const T> As() const {
    Expect(DTypeOf<T>());
    return {reinterpret_cast<const T*>(data_.get()),
            static_cast<size_t>(elements_)};
  }

  ParameterVector Clone() const;
  bool AllFinite() const;
  // XXH3-64 of the bytes.
  uint64_t Hash() const;

 private:
  struct Free {
    void operator()(char* p) const;
  };
  void Expect(DType dtype) const;

  DType dtype_ = DType::kFloat32;
  int64_t elements_ = 0;
  std::unique_ptr<char[], Free> data_;
};

}  // namespace parley

#endif  // PARLEY_COMMON_MODEL_PARAMETERS_H_
