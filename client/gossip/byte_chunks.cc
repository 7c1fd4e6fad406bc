#include "client/gossip/byte_chunks.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/wire/checksum.h"
#include "common/wire/protocol.h"

namespace parley {

std::optional<ChunkView> ByteSource::Next() {
  if (offset_ == bytes_->size()) return std::nullopt;
  ChunkView chunk;
  chunk.data = absl::string_view(*bytes_).substr(offset_, kPeerChunkBytes);
  chunk.stable = true;
  chunk.header = {payload_, offset_, Checksum(chunk.data)};
  offset_ += chunk.data.size();
  return chunk;
}

absl::Status ByteSink::Write(const ChunkHeader& header,
                             absl::Span<const absl::string_view> pieces) {
  uint64_t size = 0;
  for (const absl::string_view piece : pieces) size += piece.size();
  if (header.payload != payload_ || header.offset != bytes_.size() ||
      size == 0 || size > kMaxChunkBytes || size > size_ - bytes_.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "chunk of payload ", header.payload, " at byte ", header.offset,
        " with ", size, " bytes: payload ", payload_, " at byte ",
        bytes_.size(), " of ", size_, " is expected"));
  }
  if (Checksum(pieces) != header.checksum) {
    return absl::DataLossError(absl::StrCat("chunk of payload ", header.payload,
                                            " at byte ", header.offset,
                                            ": its checksum does not match"));
  }
  bytes_.reserve(size_);  // growing would take more for a while
  for (const absl::string_view piece : pieces) {
    bytes_.append(piece.data(), piece.size());
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> ByteSink::Finish() {
  if (bytes_.size() != size_) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the payload ended after ", bytes_.size(), " of ", size_, " bytes"));
  }
  PARLEY_RETURN_IF_ERROR(take_(bytes_));
  return size_;
}

}  // namespace parley
