// Gives the payloads of a task or an update as chunks.
#ifndef PARLEY_COMMON_WIRE_PAYLOAD_SOURCE_H_
#define PARLEY_COMMON_WIRE_PAYLOAD_SOURCE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/parameters.h"
#include "common/wire/chunk.h"
#include "common/wire/encoding.h"
#include "common/wire/protocol.h"

namespace parley {

// Numbers in memory and how they are to be written.
struct PayloadView {
  DType dtype = DType::kFloat32;
  v1::Encoding encoding = v1::ENCODING_FLOAT32;
  int64_t elements = 0;
  const char* data = nullptr;  // aligned for its dtype; borrowed

  uint64_t bytes() const { return elements * EncodedSize(encoding); }
};

// Chunks in order, none across two payloads. Where encoding and
// dtype are the same the chunks are views of the numbers themselves (stable),
// else of a scratch buffer. The numbers must stay as they are while the source
// lives. Thread-compatible.
class PayloadSource final : public ChunkSource {
 public:
  // Begins at byte `offset`, counted over all payloads. InvalidArgument where
  // that lies beyond them or within one encoded number. `chunk_bytes` hold
  // whole numbers, at most kMaxChunkBytes.
  static absl::StatusOr<std::unique_ptr<PayloadSource>> Create(
      std::vector<PayloadView> payloads, uint64_t offset,
      int64_t chunk_bytes = kChunkBytes);

  std::optional<ChunkView> Next() override;

 private:
  PayloadSource(std::vector<PayloadView> payloads, int64_t chunk_bytes)
      : payloads_(std::move(payloads)), chunk_bytes_(chunk_bytes) {}

  const std::vector<PayloadView> payloads_;
  const int64_t chunk_bytes_;
  size_t payload_ = 0;   // that the next chunk is of
  uint64_t offset_ = 0;  // of the next chunk, in bytes within it
  std::vector<char> scratch_;
};

}  // namespace parley

#endif  // PARLEY_COMMON_WIRE_PAYLOAD_SOURCE_H_
