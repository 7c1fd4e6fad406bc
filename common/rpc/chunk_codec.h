// v1::Chunk to and from gRPC's buffers, without copying the numbers. The bytes
// are those that the generated class writes and reads.
#ifndef PARLEY_COMMON_RPC_CHUNK_CODEC_H_
#define PARLEY_COMMON_RPC_CHUNK_CODEC_H_

#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/wire/chunk.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

// `header` may be null. A stable chunk's data is not copied: the buffer views
// it and holds `owner` until gRPC has let go of it, which may be after the end
// of the call, when a socket still has it in hand.
grpc::ByteBuffer EncodeChunk(const v1::TransferHeader* header,
                             const ChunkView& chunk,
                             std::shared_ptr<const void> owner);

struct ReceivedChunk {
  std::optional<v1::TransferHeader> transfer;
  ChunkHeader header;
  std::vector<absl::string_view> pieces;  // of data, within the buffer
};

// Reads a chunk that views `buffer`, which must outlive it. InvalidArgument:
// not a Chunk, or more than kMaxChunkBytes of data.
absl::Status DecodeChunk(grpc::ByteBuffer* buffer, ReceivedChunk* chunk);

}  // namespace parley

#endif  // PARLEY_COMMON_RPC_CHUNK_CODEC_H_
