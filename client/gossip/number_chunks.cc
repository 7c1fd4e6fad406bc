#include "client/gossip/number_chunks.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/wire/encoding.h"
#include "common/wire/protocol.h"

namespace parley {

NumberSource::NumberSource(std::shared_ptr<const ParameterVector> numbers,
                           int64_t begin, int64_t end, uint32_t payload)
    : numbers_(std::move(numbers)), payload_(payload) {
  const DType dtype = numbers_->dtype();
  auto source = PayloadSource::Create(
      {{.dtype = dtype,
        .encoding = NativeEncoding(dtype),
        .elements = end - begin,
        .data =
            numbers_->data() + begin * static_cast<int64_t>(SizeOf(dtype))}},
      0, kPeerChunkBytes);
  PARLEY_CHECK(source.ok());
  source_ = *std::move(source);
}

std::optional<ChunkView> NumberSource::Next() {
  std::optional<ChunkView> chunk = source_->Next();
  if (chunk) chunk->header.payload = payload_;
  return chunk;
}

NumberSink::NumberSink(std::shared_ptr<ParameterVector> numbers,
                       uint32_t payload)
    : numbers_(std::move(numbers)),
      payload_(payload),
      sink_({{.encoding = NativeEncoding(numbers_->dtype()),
              .into = numbers_.get()}}) {}

absl::Status NumberSink::Write(const ChunkHeader& header,
                               absl::Span<const absl::string_view> pieces) {
  if (header.payload != payload_) {
    return absl::InvalidArgumentError(absl::StrCat("chunk of payload ",
                                                   header.payload, ": payload ",
                                                   payload_, " is expected"));
  }
  return sink_.Write({0, header.offset, header.checksum}, pieces);
}

}  // namespace parley
