// Chunks of encoded numbers on their way: where they come from and go to. Both
// directions and both transports (gRPC, in-process) move these.
#ifndef PARLEY_COMMON_WIRE_CHUNK_H_
#define PARLEY_COMMON_WIRE_CHUNK_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace parley {

struct ChunkHeader {
  uint32_t payload = 0;   // index into the task's or update's payloads
  uint64_t offset = 0;    // in bytes, within that payload
  uint64_t checksum = 0;  // XXH3-64 of the data, seed 0
};

struct ChunkView {
  ChunkHeader header;
  absl::string_view data;
  // True: the data stays as it is while the source lives, and may be sent
  // without a copy. False: only until the next call of Next().
  bool stable = false;
};

// Gives chunks in order. One thread at a time; calls must not block.
class ChunkSource {
 public:
  virtual ~ChunkSource() = default;
  // The next chunk; nullopt after the last.
  virtual std::optional<ChunkView> Next() = 0;
};

// Takes chunks in order. One thread at a time; calls must not block on peers.
class ChunkSink {
 public:
  virtual ~ChunkSink() = default;
  // `pieces` are the chunk's data, one after another, as they lie in receive
  // buffers. Checks everything (payload, offset, size, checksum, finite
  // numbers) before it counts: InvalidArgument says what is wrong, DataLoss a
  // checksum, Aborted that the transfer is wanted no more. After an error no
  // further call is made.
  virtual absl::Status Write(const ChunkHeader& header,
                             absl::Span<const absl::string_view> pieces) = 0;
  // True: all bytes are here, so that it does not matter any more whether the
  // peer ended the transfer or broke it off. False also where nobody can tell.
  virtual bool whole() const { return false; }
  // The peer sent all it has. Returns the bytes that are whole, counted over
  // all payloads. InvalidArgument where some are missing.
  virtual absl::StatusOr<uint64_t> Finish() = 0;
};

}  // namespace parley

#endif  // PARLEY_COMMON_WIRE_CHUNK_H_
