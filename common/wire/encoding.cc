#include "common/wire/encoding.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/kernels/kernels.h"

namespace parley {
namespace {

static_assert(std::endian::native == std::endian::little);

// Calls f(const T* x, n, at) for the numbers at `bytes`: for all of them where
// they are aligned, else for one small aligned copy after another.
template <typename T, typename F>
void ForAligned(const char* bytes, int64_t n, F f) {
  if (reinterpret_cast<uintptr_t>(bytes) % alignof(T) == 0) {
    f(reinterpret_cast<const T*>(bytes), n, int64_t{0});
    return;
  }
  constexpr int64_t kBlock = 8192 / sizeof(T);
  T block[kBlock];
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t m = std::min(kBlock, n - at);
    std::memcpy(block, bytes + at * sizeof(T), m * sizeof(T));
    f(static_cast<const T*>(block), m, at);
  }
}

// The same for writing: f(T* out, n, at) fills what is then put at `bytes`.
template <typename T, typename F>
void IntoUnaligned(char* bytes, int64_t n, F f) {
  if (reinterpret_cast<uintptr_t>(bytes) % alignof(T) == 0) {
    f(reinterpret_cast<T*>(bytes), n, int64_t{0});
    return;
  }
  constexpr int64_t kBlock = 8192 / sizeof(T);
  T block[kBlock];
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t m = std::min(kBlock, n - at);
    f(block, m, at);
    std::memcpy(bytes + at * sizeof(T), block, m * sizeof(T));
  }
}

template <typename From, typename To>
void Convert(const From* x, int64_t n, To* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<To>(x[i]);
}

void ToBfloat16(const float* x, int64_t n, uint16_t* out) {
  Bfloat16KernelsForCpu().from_float(n, x, out);
}
void ToBfloat16(const double* x, int64_t n, uint16_t* out) {
  Bfloat16KernelsForCpu().from_double(n, x, out);
}
void FromBfloat16(const uint16_t* x, int64_t n, float* out) {
  Bfloat16KernelsForCpu().to_float(n, x, out);
}
void FromBfloat16(const uint16_t* x, int64_t n, double* out) {
  Bfloat16KernelsForCpu().to_double(n, x, out);
}

template <typename T>
void EncodeFrom(const T* x, int64_t n, v1::Encoding to, char* out) {
  switch (to) {
    case v1::ENCODING_FLOAT32:
      IntoUnaligned<float>(out, n, [&](float* y, int64_t m, int64_t at) {
        Convert(x + at, m, y);
      });
      return;
    case v1::ENCODING_FLOAT64:
      IntoUnaligned<double>(out, n, [&](double* y, int64_t m, int64_t at) {
        Convert(x + at, m, y);
      });
      return;
    case v1::ENCODING_BFLOAT16:
      IntoUnaligned<uint16_t>(out, n, [&](uint16_t* y, int64_t m, int64_t at) {
        ToBfloat16(x + at, m, y);
      });
      return;
    default:
      PARLEY_CHECK(false);
  }
}

template <typename T>
void DecodeTo(v1::Encoding from, const char* encoded, int64_t n, T* out) {
  switch (from) {
    case v1::ENCODING_FLOAT32:
      ForAligned<float>(encoded, n, [&](const float* x, int64_t m, int64_t at) {
        Convert(x, m, out + at);
      });
      return;
    case v1::ENCODING_FLOAT64:
      ForAligned<double>(encoded, n,
                         [&](const double* x, int64_t m, int64_t at) {
                           Convert(x, m, out + at);
                         });
      return;
    case v1::ENCODING_BFLOAT16:
      ForAligned<uint16_t>(encoded, n,
                           [&](const uint16_t* x, int64_t m, int64_t at) {
                             FromBfloat16(x, m, out + at);
                           });
      return;
    default:
      PARLEY_CHECK(false);
  }
}

template <typename T, typename K>
bool AllFiniteAs(const K& kernels, const char* encoded, int64_t n) {
  bool finite = true;
  ForAligned<T>(encoded, n, [&](const T* x, int64_t m, int64_t) {
    finite = finite && kernels.all_finite(m, x);
  });
  return finite;
}

template <typename T, typename K>
void FoldAs(const K& kernels, double weight, const char* encoded, int64_t n,
            double* sum) {
  ForAligned<T>(encoded, n, [&](const T* x, int64_t m, int64_t at) {
    kernels.fold(m, weight, x, sum + at);
  });
}

}  // namespace

absl::Status CheckEncoding(v1::Encoding encoding) {
  switch (encoding) {
    case v1::ENCODING_FLOAT32:
    case v1::ENCODING_FLOAT64:
    case v1::ENCODING_BFLOAT16:
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("encoding ", static_cast<int>(encoding),
                       " is not known here: there are ENCODING_FLOAT32 (1), "
                       "ENCODING_FLOAT64 (2) and ENCODING_BFLOAT16 (3)"));
  }
}

int64_t EncodedSize(v1::Encoding encoding) {
  switch (encoding) {
    case v1::ENCODING_FLOAT32:
      return 4;
    case v1::ENCODING_FLOAT64:
      return 8;
    case v1::ENCODING_BFLOAT16:
      return 2;
    default:
      PARLEY_CHECK(false);
  }
}

v1::Encoding NativeEncoding(DType dtype) {
  return dtype == DType::kFloat32 ? v1::ENCODING_FLOAT32 : v1::ENCODING_FLOAT64;
}

void Encode(DType from, const char* elements, int64_t n, v1::Encoding to,
            char* out) {
  if (to == NativeEncoding(from)) {
    if (n > 0) std::memcpy(out, elements, n * SizeOf(from));
  } else if (from == DType::kFloat32) {
    EncodeFrom(reinterpret_cast<const float*>(elements), n, to, out);
  } else {
    EncodeFrom(reinterpret_cast<const double*>(elements), n, to, out);
  }
}

void Decode(v1::Encoding from, const char* encoded, int64_t n, DType to,
            char* out) {
  if (from == NativeEncoding(to)) {
    if (n > 0) std::memcpy(out, encoded, n * SizeOf(to));
  } else if (to == DType::kFloat32) {
    DecodeTo(from, encoded, n, reinterpret_cast<float*>(out));
  } else {
    DecodeTo(from, encoded, n, reinterpret_cast<double*>(out));
  }
}

bool AllFinite(v1::Encoding encoding, const char* encoded, int64_t n) {
  switch (encoding) {
    case v1::ENCODING_FLOAT32:
      return AllFiniteAs<float>(KernelsFor<float>(), encoded, n);
    case v1::ENCODING_FLOAT64:
      return AllFiniteAs<double>(KernelsFor<double>(), encoded, n);
    case v1::ENCODING_BFLOAT16:
      return AllFiniteAs<uint16_t>(Bfloat16KernelsForCpu(), encoded, n);
    default:
      PARLEY_CHECK(false);
  }
}

void FiniteCheck::Add(absl::string_view piece) {
  if (piece.empty()) return;
  if (cut_size_ > 0) {
    const size_t more = std::min(size_ - cut_size_, piece.size());
    std::memcpy(cut_ + cut_size_, piece.data(), more);
    piece.remove_prefix(more);
    cut_size_ += more;
    if (cut_size_ < size_) return;
    ok_ = ok_ && AllFinite(encoding_, cut_, 1);
  }
  const size_t n = piece.size() / size_;
  ok_ = ok_ && AllFinite(encoding_, piece.data(), static_cast<int64_t>(n));
  piece.remove_prefix(n * size_);
  cut_size_ = piece.copy(cut_, piece.size());
}

void FoldEncoded(v1::Encoding encoding, double weight, const char* encoded,
                 int64_t n, double* sum) {
  switch (encoding) {
    case v1::ENCODING_FLOAT32:
      return FoldAs<float>(KernelsFor<float>(), weight, encoded, n, sum);
    case v1::ENCODING_FLOAT64:
      return FoldAs<double>(KernelsFor<double>(), weight, encoded, n, sum);
    case v1::ENCODING_BFLOAT16:
      return FoldAs<uint16_t>(Bfloat16KernelsForCpu(), weight, encoded, n, sum);
    default:
      PARLEY_CHECK(false);
  }
}

}  // namespace parley
