// A whole update as it lies in staging: encoded numbers, and what they weigh.
#ifndef PARLEY_SERVER_STRATEGIES_UPDATE_VIEW_H_
#define PARLEY_SERVER_STRATEGIES_UPDATE_VIEW_H_

#include <cstdint>

#include "parley/v1/model.pb.h"

namespace parley {

// Owns nothing. Its numbers are finite: staging saw to that.
struct UpdateView {
  v1::Encoding encoding = v1::ENCODING_UNSPECIFIED;
  const char* data = nullptr;
  double weight = 0;  // Strategy::Weight of it
  // What its numbers are divided by to be a plain change: the weight that the
  // client has multiplied them by already, else 1.
  double divisor = 1;

  // What they are multiplied by to count by `weight` in a sum.
  double factor() const { return weight / divisor; }
};

// sum[0..end-begin) += factor · the elements [begin, end) of the update.
void FoldRange(const UpdateView& update, int64_t begin, int64_t end,
               double factor, double* sum);

// out[0..end-begin) = the elements [begin, end) of the update as a plain
// change.
void DecodeRange(const UpdateView& update, int64_t begin, int64_t end,
                 double* out);

}  // namespace parley

#endif  // PARLEY_SERVER_STRATEGIES_UPDATE_VIEW_H_
