#include "client/gossip/mixing_sink.h"

#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"

namespace parley {
namespace {

// What is mixed at once; three vectors of it lie in the cache. Sums add up by
// these, wherever chunks end.
constexpr int64_t kBlock = 8192;

}  // namespace

MixingSink::MixingSink(Options options)
    : options_(std::move(options)), numbers_(options_.staged) {}

void MixingSink::Begin(const v1::PeerBegin& begin) {
  if (begin.scale() != 0) options_.weight *= begin.scale();
  if (begin.weight() > 0 && options_.omega > 0) {
    by_omega_ = 1 / begin.weight();
    by_sent_omega_ = 1 / options_.omega;
  }
}

absl::Status MixingSink::Write(const ChunkHeader& header,
                               absl::Span<const absl::string_view> pieces) {
  PARLEY_RETURN_IF_ERROR(numbers_->Write(header, pieces));
  const DType dtype = options_.staged->dtype();
  const int64_t all = options_.staged->elements();
  const int64_t here = numbers_->received() / SizeOf(dtype);
  while (here - mixed_ >= kBlock || (here == all && mixed_ < all)) {
    const int64_t n = std::min(kBlock, all - mixed_);
    dtype == DType::kFloat32 ? Mix<float>(mixed_, n) : Mix<double>(mixed_, n);
    mixed_ += n;
  }
  return absl::OkStatus();
}

template <typename T>
void MixingSink::Mix(int64_t begin, int64_t n) {
  const Kernels<T>& kernels = KernelsFor<T>();
  const T* const sent = options_.sent->As<T>().data() + begin;
  const T* const mixed = options_.mixed->As<T>().data() + begin;
  T* const staged = options_.staged->As<T>().data() + begin;
  const Comparison compared =
      kernels.compare(n, by_omega_, staged, by_sent_omega_, sent);
  compared_.squared_distance += compared.squared_distance;
  compared_.sum_a += compared.sum_a;
  compared_.sum_b += compared.sum_b;
  kernels.mix(n, static_cast<T>(options_.weight),
              options_.flow ? nullptr : sent, mixed, staged);
}

absl::StatusOr<uint64_t> MixingSink::Finish() {
  PARLEY_ASSIGN_OR_RETURN(const uint64_t bytes, numbers_->Finish());
  numbers_.reset();
  options_ = {};
  return bytes;
}

}  // namespace parley
