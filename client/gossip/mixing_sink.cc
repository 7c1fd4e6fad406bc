#include "client/gossip/mixing_sink.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/wire/encoding.h"
#include "common/wire/parameter_sink.h"
#include "common/wire/protocol.h"

namespace parley {
namespace {

// What is mixed at once; its numbers lie in the cache. Sums add up by these,
// wherever chunks end.
constexpr int64_t kBlock = 4096;
constexpr int64_t kPastCacheBytes = 16 << 20;

}  // namespace

MixingSink::MixingSink(Options options)
    : options_(std::move(options)),
      dtype_(options_.sent->dtype()),
      elements_(options_.sent->elements()) {}

void MixingSink::Begin(const v1::PeerBegin& begin) {
  if (begin.scale() != 0) options_.weight *= begin.scale();
  if (begin.weight() > 0 && options_.omega > 0) {
    by_omega_ = 1 / begin.weight();
    by_sent_omega_ = 1 / options_.omega;
  }
}

absl::Status MixingSink::Write(const ChunkHeader& header,
                               absl::Span<const absl::string_view> pieces) {
  const v1::Encoding encoding = NativeEncoding(dtype_);
  const int64_t number = SizeOf(dtype_);
  const int64_t before = mixed_ + waiting_;
  PARLEY_ASSIGN_OR_RETURN(
      const uint64_t size,
      CheckChunk(header, pieces, /*payload=*/0, before * number,
                 (elements_ - before) * number, number));
  const int64_t chunk = size / number;
  if (waiting_ + chunk > window_.elements()) {
    ParameterVector larger = ParameterVector::Uninitialized(
        dtype_, std::max<int64_t>(kPeerChunkBytes / number, chunk) + kBlock);
    if (waiting_ > 0) {
      std::memcpy(larger.data(), window_.data(), waiting_ * number);
    }
    window_ = std::move(larger);
  }
  DecodePieces(encoding, pieces, dtype_, window_.data() + waiting_ * number);
  waiting_ += chunk;
  const bool finite = dtype_ == DType::kFloat32 ? Mix<float>() : Mix<double>();
  return finite ? absl::OkStatus() : RefuseChunk(header, kNotFinite);
}

template <typename T>
bool MixingSink::Mix() {
  const Kernels<T>& kernels = KernelsFor<T>();
  const auto mix = options_.flow ? kernels.mix : kernels.mix_difference;
  const T* const sent = options_.sent->As<T>().data();
  const T* const mixed =
      options_.mixed == nullptr ? nullptr : options_.mixed->As<T>().data();
  T* const staged = options_.staged->As<T>().data();
  // What is out of the cache again when it is read need not go through it.
  const bool past_cache = options_.staged->bytes() > kPastCacheBytes;
  T block[kBlock];
  T* window = window_.As<T>().data();
  while (waiting_ >= kBlock ||
         (waiting_ > 0 && mixed_ + waiting_ == elements_)) {
    const int64_t n = std::min(kBlock, waiting_);
    const Comparison compared =
        mix(n, by_omega_, window, by_sent_omega_, sent + mixed_,
            static_cast<T>(options_.weight),
            mixed == nullptr ? nullptr : mixed + mixed_,
            past_cache ? block : staged + mixed_);
    if (past_cache) {
      StreamCopyForCpu()(n * sizeof(T), reinterpret_cast<const char*>(block),
                         reinterpret_cast<char*>(staged + mixed_));
    }
    // A sum of floats is finite if they are; one of doubles may overflow.
    if (!std::isfinite(compared.sum_a) && !kernels.all_finite(n, window)) {
      return false;
    }
    compared_.squared_distance += compared.squared_distance;
    compared_.sum_a += compared.sum_a;
    compared_.sum_b += compared.sum_b;
    mixed_ += n;
    window += n;
    waiting_ -= n;
  }
  if (waiting_ > 0) {
    std::memmove(window_.data(), window, waiting_ * sizeof(T));
  }
  return true;
}

absl::StatusOr<uint64_t> MixingSink::Finish() {
  const int64_t number = SizeOf(dtype_);
  if (mixed_ < elements_) {
    return absl::InvalidArgumentError(
        absl::StrCat("the transfer ended at byte ",
                     (mixed_ + waiting_) * number, " of ", elements_ * number));
  }
  options_ = {};
  window_ = {};
  return mixed_ * number;
}

}  // namespace parley
