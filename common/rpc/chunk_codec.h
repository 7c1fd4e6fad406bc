// v1::Chunk, alone, in a v1::PeerMessage and in the messages of a session, to
// and from gRPC's buffers, without copying the numbers. The bytes are those
// that the generated classes write and read.
#ifndef PARLEY_COMMON_RPC_CHUNK_CODEC_H_
#define PARLEY_COMMON_RPC_CHUNK_CODEC_H_

#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/wire/chunk.h"
#include "common/wire/inline_chunks.h"
#include "parley/v1/coordinator.pb.h"
#include "parley/v1/peer.pb.h"

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

// As EncodeChunk, of a PeerMessage that is a chunk.
grpc::ByteBuffer EncodePeerChunk(const ChunkView& chunk,
                                 std::shared_ptr<const void> owner);

// `message` is no chunk.
grpc::ByteBuffer EncodePeerMessage(const v1::PeerMessage& message);

// Reads a chunk, as DecodeChunk, or else a message. InvalidArgument: not a
// PeerMessage, a chunk in any but the plain form (alone in its message, without
// a header), too much data, or more than kMaxControlBytes of a message that is
// no chunk.
absl::Status DecodePeerMessage(grpc::ByteBuffer* buffer,
                               v1::PeerMessage* message,
                               std::optional<ReceivedChunk>* chunk);

// A message of a session, with `chunks` in its Task or UpdateReady, or, where
// they are null, as it is.
grpc::ByteBuffer EncodeSessionMessage(v1::ServerMessage message,
                                      const SharedChunks& chunks);
grpc::ByteBuffer EncodeSessionMessage(v1::ClientMessage message,
                                      const SharedChunks& chunks);

// The numbers of chunks in it are copied. InvalidArgument: it is none, or has
// more than kMaxControlBytes.
absl::Status DecodeSessionMessage(grpc::ByteBuffer* buffer,
                                  v1::ClientMessage* message);
// Of a coordinator, which is trusted: no bound but gRPC's.
absl::Status DecodeSessionMessage(grpc::ByteBuffer* buffer,
                                  v1::ServerMessage* message);

}  // namespace parley

#endif  // PARLEY_COMMON_RPC_CHUNK_CODEC_H_
