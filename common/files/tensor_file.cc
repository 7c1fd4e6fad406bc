#include "common/files/tensor_file.h"

#include <algorithm>

#include "common/base/status_macros.h"

namespace parley {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 40;
constexpr int64_t kBlock = 8192;  // elements

template <typename From, typename To>
absl::Status Convert(
    int64_t elements, To* out,
    absl::FunctionRef<absl::Status(char* out, uint64_t bytes)> read) {
  std::vector<From> block(std::min(elements, kBlock));
  while (elements > 0) {
    const int64_t n = std::min(elements, kBlock);
    PARLEY_RETURN_IF_ERROR(
        read(reinterpret_cast<char*>(block.data()), n * sizeof(From)));
    std::transform(block.begin(), block.begin() + n, out,
                   [](From x) { return static_cast<To>(x); });
    out += n;
    elements -= n;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int64_t> ElementsOf(const std::vector<int64_t>& shape) {
  int64_t elements = 1;
  // An extent of 0 must not hide absurd others.
  int64_t without_zeros = 1;
  for (const int64_t extent : shape) {
    if (extent < 0) return absl::InvalidArgumentError("an extent is negative");
    if (extent > kMaxElements / without_zeros) {
      return absl::InvalidArgumentError("it has more than 2^40 elements");
    }
    elements *= extent;
    without_zeros *= std::max<int64_t>(extent, 1);
  }
  return elements;
}

absl::Status ReadConverted(
    DType from, DType to, int64_t elements, char* out,
    absl::FunctionRef<absl::Status(char* out, uint64_t bytes)> read) {
  if (from == to) return read(out, elements * SizeOf(from));
  if (to == DType::kFloat64) {
    return Convert<float>(elements, reinterpret_cast<double*>(out), read);
  }
  return Convert<double>(elements, reinterpret_cast<float*>(out), read);
}

}  // namespace parley
