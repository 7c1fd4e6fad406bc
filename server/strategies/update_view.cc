#include "server/strategies/update_view.h"

#include <algorithm>

#include "common/wire/encoding.h"

namespace parley {

void FoldRange(const UpdateView& update, int64_t begin, int64_t end,
               double factor, double* sum) {
  FoldEncoded(update.encoding, factor,
              update.data + begin * EncodedSize(update.encoding), end - begin,
              sum);
}

void DecodeRange(const UpdateView& update, int64_t begin, int64_t end,
                 double* out) {
  std::fill(out, out + (end - begin), 0.0);
  FoldRange(update, begin, end, 1 / update.divisor, out);
}

}  // namespace parley
