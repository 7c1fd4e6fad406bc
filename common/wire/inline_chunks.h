// Chunks that travel within the message that announces them, where they are few
// (Task.chunks, UpdateReady.chunks).
#ifndef PARLEY_COMMON_WIRE_INLINE_CHUNKS_H_
#define PARLEY_COMMON_WIRE_INLINE_CHUNKS_H_

#include <memory>

#include "absl/status/status.h"
#include "common/wire/chunk.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

using InlineChunks = google::protobuf::RepeatedPtrField<v1::Chunk>;
// To be sent, perhaps to many, without a copy for each; the last one to be done
// with them frees them.
using SharedChunks = std::shared_ptr<const InlineChunks>;

// All that `source` gives.
InlineChunks ReadAll(ChunkSource& source);

// As a transfer of its own would bring them, to the last. Errors as ChunkSink's
// Write and Finish.
absl::Status WriteAll(const InlineChunks& chunks, ChunkSink& sink);

}  // namespace parley

#endif  // PARLEY_COMMON_WIRE_INLINE_CHUNKS_H_
