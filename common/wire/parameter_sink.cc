#include "common/wire/parameter_sink.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/wire/checksum.h"
#include "common/wire/protocol.h"

namespace parley {

char* DecodePieces(v1::Encoding from,
                   absl::Span<const absl::string_view> pieces, DType to,
                   char* out) {
  const size_t number = EncodedSize(from);
  char begun[sizeof(double)];  // the number that the last piece ended within
  size_t have = 0;
  for (absl::string_view piece : pieces) {
    if (have > 0) {
      const size_t n = std::min(number - have, piece.size());
      std::memcpy(begun + have, piece.data(), n);
      have += n;
      piece.remove_prefix(n);
      if (have < number) continue;
      Decode(from, begun, 1, to, out);
      out += SizeOf(to);
    }
    const size_t whole = piece.size() / number;
    Decode(from, piece.data(), whole, to, out);
    out += whole * SizeOf(to);
    piece.remove_prefix(whole * number);
    have = piece.size();
    if (have > 0) std::memcpy(begun, piece.data(), have);
  }
  return out;
}

ParameterSink::ParameterSink(std::vector<PayloadTarget> targets)
    : targets_(std::move(targets)) {
  SkipFullPayloads();
}

void ParameterSink::SkipFullPayloads() {
  while (payload_ < targets_.size() && offset_ == BytesOf(targets_[payload_])) {
    ++payload_;
    offset_ = 0;
  }
}

absl::Status RefuseChunk(const ChunkHeader& header, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("chunk of payload ",
                                                 header.payload, " at byte ",
                                                 header.offset, ": ", why));
}

absl::StatusOr<uint64_t> CheckChunk(const ChunkHeader& header,
                                    absl::Span<const absl::string_view> pieces,
                                    uint32_t payload, uint64_t offset,
                                    uint64_t left, uint64_t number) {
  if (left == 0) return RefuseChunk(header, "nothing more is expected");
  if (header.payload != payload || header.offset != offset) {
    return RefuseChunk(header, absl::StrCat("payload ", payload, " at byte ",
                                            offset, " is expected"));
  }
  uint64_t size = 0;
  for (absl::string_view piece : pieces) size += piece.size();
  if (size == 0 || size > kMaxChunkBytes || size % number != 0) {
    return RefuseChunk(
        header,
        absl::StrCat("has ", size, " bytes; allowed are 1 to ", kMaxChunkBytes,
                     ", in whole numbers of ", number, " bytes"));
  }
  if (size > left) {
    return RefuseChunk(header, absl::StrCat("has ", size, " bytes where only ",
                                            left, " are left of the payload"));
  }
  if (Checksum(pieces) != header.checksum) {
    return absl::DataLossError(absl::StrCat("chunk of payload ", header.payload,
                                            " at byte ", header.offset,
                                            ": its checksum does not match"));
  }
  return size;
}

absl::Status ParameterSink::Write(const ChunkHeader& header,
                                  absl::Span<const absl::string_view> pieces) {
  if (payload_ == targets_.size()) {
    return RefuseChunk(header, "nothing more is expected");
  }
  const PayloadTarget& target = targets_[payload_];
  const uint64_t number = EncodedSize(target.encoding);
  PARLEY_ASSIGN_OR_RETURN(const uint64_t size,
                          CheckChunk(header, pieces, payload_, offset_,
                                     BytesOf(target) - offset_, number));
  // What is refused from here on is overwritten by the next transfer.
  const DType dtype = target.into->dtype();
  char* const begin = target.into->data() + offset_ / number * SizeOf(dtype);
  DecodePieces(target.encoding, pieces, dtype, begin);
  if (!AllFinite(NativeEncoding(dtype), begin, size / number)) {
    return RefuseChunk(header, kNotFinite);
  }
  offset_ += size;
  received_ += size;
  SkipFullPayloads();
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> ParameterSink::Finish() {
  if (payload_ < targets_.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the transfer ended at byte ", offset_, " of payload ",
                     payload_, ", which has ", BytesOf(targets_[payload_])));
  }
  return received_;
}

}  // namespace parley
