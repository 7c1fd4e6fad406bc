// How numbers are written on the wire: little-endian and without gaps, each
// encoding as model.proto says. Encoded bytes may lie at any address; arrays of
// float and double lie where the language wants them.
#ifndef PARLEY_COMMON_WIRE_ENCODING_H_
#define PARLEY_COMMON_WIRE_ENCODING_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/model/parameters.h"
#include "parley/v1/model.pb.h"

namespace parley {

// InvalidArgument, naming those that there are, unless `encoding` is one of
// ours. The functions below are for these only.
absl::Status CheckEncoding(v1::Encoding encoding);

int64_t EncodedSize(v1::Encoding encoding);  // bytes of one number

// The encoding that keeps every bit of `dtype`, and no more.
v1::Encoding NativeEncoding(DType dtype);

// Writes `n` numbers. What the encoding cannot hold is rounded to nearest even,
// and beyond its range becomes infinite, which the receiver then refuses.
void Encode(DType from, const char* elements, int64_t n, v1::Encoding to,
            char* out);

void Decode(v1::Encoding from, const char* encoded, int64_t n, DType to,
            char* out);

bool AllFinite(v1::Encoding encoding, const char* encoded, int64_t n);

// The same of numbers that come piece by piece, cut anywhere.
class FiniteCheck {
 public:
  explicit FiniteCheck(v1::Encoding encoding)
      : encoding_(encoding), size_(EncodedSize(encoding)) {}
  void Add(absl::string_view piece);
  bool ok() const { return ok_; }

 private:
  const v1::Encoding encoding_;
  const size_t size_;  // of a number
  char cut_[8];        // the first bytes of a number that goes on
  size_t cut_size_ = 0;
  bool ok_ = true;
};

// sum[i] += weight · x[i], in double.
void FoldEncoded(v1::Encoding encoding, double weight, const char* encoded,
                 int64_t n, double* sum);

}  // namespace parley

#endif  // PARLEY_COMMON_WIRE_ENCODING_H_
