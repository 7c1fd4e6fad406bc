#include "common/wire/payload_source.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/wire/checksum.h"

namespace parley {

absl::StatusOr<std::unique_ptr<PayloadSource>> PayloadSource::Create(
    std::vector<PayloadView> payloads, uint64_t offset, int64_t chunk_bytes) {
  std::unique_ptr<PayloadSource> source(
      new PayloadSource(std::move(payloads), chunk_bytes));
  uint64_t left = offset;
  for (const PayloadView& p : source->payloads_) {
    if (left < p.bytes()) {
      if (left % EncodedSize(p.encoding) != 0) {
        return absl::InvalidArgumentError(absl::StrCat(
            "cannot go on at byte ", offset, ": it lies within a number"));
      }
      source->offset_ = left;
      return source;
    }
    left -= p.bytes();
    ++source->payload_;
  }
  if (left > 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot go on at byte ", offset, ": there are only ", offset - left));
  }
  return source;
}

std::optional<ChunkView> PayloadSource::Next() {
  while (payload_ < payloads_.size() &&
         offset_ == payloads_[payload_].bytes()) {
    ++payload_;
    offset_ = 0;
  }
  if (payload_ == payloads_.size()) return std::nullopt;

  const PayloadView& p = payloads_[payload_];
  const int64_t number = EncodedSize(p.encoding);
  const int64_t bytes = std::min<int64_t>(chunk_bytes_, p.bytes() - offset_);
  const char* const elements = p.data + offset_ / number * SizeOf(p.dtype);

  ChunkView chunk;
  chunk.stable = p.encoding == NativeEncoding(p.dtype);
  if (chunk.stable) {
    chunk.data = absl::string_view(elements, bytes);
  } else {
    scratch_.resize(chunk_bytes_);
    Encode(p.dtype, elements, bytes / number, p.encoding, scratch_.data());
    chunk.data = absl::string_view(scratch_.data(), bytes);
  }
  chunk.header = {static_cast<uint32_t>(payload_), offset_,
                  Checksum(chunk.data)};
  offset_ += bytes;
  return chunk;
}

}  // namespace parley
