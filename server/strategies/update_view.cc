#include "server/strategies/update_view.h"

#include <algorithm>

#include "common/base/log.h"
#include "common/kernels/kernels.h"

namespace parley {

void FoldRange(const UpdateView& update, int64_t begin, int64_t end,
               double factor, double* sum) {
  const int64_t n = end - begin;
  switch (update.encoding) {
    case v1::ENCODING_FLOAT32:
      return KernelsFor<float>().fold(
          n, factor, reinterpret_cast<const float*>(update.data) + begin, sum);
    case v1::ENCODING_FLOAT64:
      return KernelsFor<double>().fold(
          n, factor, reinterpret_cast<const double*>(update.data) + begin, sum);
    case v1::ENCODING_BFLOAT16:
      return Bfloat16KernelsForCpu().fold(
          n, factor, reinterpret_cast<const uint16_t*>(update.data) + begin,
          sum);
    default:
      PARLEY_CHECK(false);  // staging takes no other
  }
}

void DecodeRange(const UpdateView& update, int64_t begin, int64_t end,
                 double* out) {
  std::fill(out, out + (end - begin), 0.0);
  FoldRange(update, begin, end, 1 / update.divisor, out);
}

}  // namespace parley
