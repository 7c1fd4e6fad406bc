#include "client/gossip/algorithms/compressor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/gossip/vectors.h"
#include "common/base/random.h"
#include "common/wire/encoding.h"

namespace parley {
namespace {

double At(const ParameterVector& v, int64_t i) {
  return v.dtype() == DType::kFloat32 ? v.As<float>()[i] : v.As<double>()[i];
}
void Set(ParameterVector* v, int64_t i, double x) {
  if (v->dtype() == DType::kFloat32) {
    v->As<float>()[i] = static_cast<float>(x);
  } else {
    v->As<double>()[i] = x;
  }
}

absl::Status NotFinite() {
  return absl::InvalidArgumentError(
      "has a number that is infinite or not a number");
}

// Numbers at some places.
class Sparse final : public Compressor {
 public:
  Sparse(bool top, int64_t count, uint64_t seed, DType dtype, int64_t elements)
      : top_(top),
        count_(count),
        seed_(seed),
        dtype_(dtype),
        elements_(elements) {}

  std::string Encode(const CompressedBy& by,
                     const ParameterVector& v) const override {
    const int64_t size = static_cast<int64_t>(SizeOf(dtype_));
    std::string bytes;
    bytes.reserve(count_ * (size + (top_ ? sizeof(uint32_t) : 0)));
    if (top_) {
      const std::vector<uint32_t> places = Largest(v);
      bytes.append(reinterpret_cast<const char*>(places.data()),
                   places.size() * sizeof(uint32_t));
      for (const int64_t place : places) {
        bytes.append(v.data() + place * size, size);
      }
    } else {
      for (const int64_t place : Drawn(by)) {
        bytes.append(v.data() + place * size, size);
      }
    }
    return bytes;
  }

  absl::Status Decode(const CompressedBy& by, const std::string& bytes,
                      ParameterVector* v) const override {
    SetZero(v);
    const int64_t size = static_cast<int64_t>(SizeOf(dtype_));
    const std::vector<int64_t> drawn =
        top_ ? std::vector<int64_t>() : Drawn(by);
    const char* const numbers =
        bytes.data() + (top_ ? count_ * sizeof(uint32_t) : 0);
    if (!AllFinite(NativeEncoding(dtype_), numbers, count_)) {
      return NotFinite();
    }
    int64_t last = -1;
    for (int64_t i = 0; i < count_; ++i) {
      int64_t place;
      if (top_) {
        uint32_t p;
        std::memcpy(&p, bytes.data() + i * sizeof(p), sizeof(p));
        place = p;
        if (place <= last || place >= elements_) {
          return absl::InvalidArgumentError(
              absl::StrCat("has place ", place, " after ", last, " of ",
                           elements_, " numbers"));
        }
        last = place;
      } else {
        place = drawn[i];
      }
      std::memcpy(v->data() + place * size, numbers + i * size, size);
    }
    return absl::OkStatus();
  }

 private:
  // Of equals the first.
  std::vector<uint32_t> Largest(const ParameterVector& v) const {
    std::vector<uint32_t> places(elements_);
    std::iota(places.begin(), places.end(), uint32_t{0});
    std::nth_element(places.begin(), places.begin() + (count_ - 1),
                     places.end(), [&v](uint32_t a, uint32_t b) {
                       const double x = std::abs(At(v, a));
                       const double y = std::abs(At(v, b));
                       return x != y ? x > y : a < b;
                     });
    places.resize(count_);
    std::sort(places.begin(), places.end());
    return places;
  }
  std::vector<int64_t> Drawn(const CompressedBy& by) const {
    return Rng(seed_, absl::StrCat(by.peer), by.round, "choco places")
        .Sample(elements_, count_);
  }

  const bool top_;
  const int64_t count_;
  const uint64_t seed_;
  const DType dtype_;
  const int64_t elements_;
};

class Int8 final : public Compressor {
 public:
  explicit Int8(int64_t elements) : elements_(elements) {}

  std::string Encode(const CompressedBy&,
                     const ParameterVector& v) const override {
    std::string bytes;
    bytes.reserve(elements_ + 4 * (elements_ / kInt8Block + 1));
    for (int64_t begin = 0; begin < elements_; begin += kInt8Block) {
      const int64_t end = std::min(begin + kInt8Block, elements_);
      double largest = 0;
      for (int64_t i = begin; i < end; ++i) {
        largest = std::max(largest, std::abs(At(v, i)));
      }
      const float scale = static_cast<float>(largest / 127);
      bytes.append(reinterpret_cast<const char*>(&scale), sizeof(scale));
      for (int64_t i = begin; i < end; ++i) {
        // An infinite scale has no levels: the receiver refuses it.
        const double level = scale > 0 && std::isfinite(scale)
                                 ? std::nearbyint(At(v, i) / scale)
                                 : 0.0;
        bytes.push_back(static_cast<char>(
            static_cast<int8_t>(std::clamp(level, -127.0, 127.0))));
      }
    }
    return bytes;
  }

  absl::Status Decode(const CompressedBy&, const std::string& bytes,
                      ParameterVector* v) const override {
    const char* at = bytes.data();
    for (int64_t begin = 0; begin < elements_; begin += kInt8Block) {
      const int64_t end = std::min(begin + kInt8Block, elements_);
      float scale;
      std::memcpy(&scale, at, sizeof(scale));
      at += sizeof(scale);
      for (int64_t i = begin; i < end; ++i) {
        Set(v, i, static_cast<double>(scale) * static_cast<int8_t>(*at++));
      }
    }
    // A finite scale may be too large for its levels.
    return v->AllFinite() ? absl::OkStatus() : NotFinite();
  }

 private:
  const int64_t elements_;
};

class Bfloat16 final : public Compressor {
 public:
  std::string Encode(const CompressedBy&,
                     const ParameterVector& v) const override {
    std::string bytes(v.elements() * 2, '\0');
    parley::Encode(v.dtype(), v.data(), v.elements(), v1::ENCODING_BFLOAT16,
                   bytes.data());
    return bytes;
  }
  absl::Status Decode(const CompressedBy&, const std::string& bytes,
                      ParameterVector* v) const override {
    if (!AllFinite(v1::ENCODING_BFLOAT16, bytes.data(), v->elements())) {
      return NotFinite();
    }
    parley::Decode(v1::ENCODING_BFLOAT16, bytes.data(), v->elements(),
                   v->dtype(), v->data());
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Compressor> MakeCompressor(const AlgorithmOptions& options,
                                           DType dtype, int64_t elements) {
  if (options.compressor == "int8") return std::make_unique<Int8>(elements);
  if (options.compressor == "bfloat16") return std::make_unique<Bfloat16>();
  return std::make_unique<Sparse>(options.compressor == "top",
                                  SentNumbers(options, elements), options.seed,
                                  dtype, elements);
}

}  // namespace parley
