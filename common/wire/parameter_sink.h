// Takes chunks and decodes them where they belong.
#ifndef PARLEY_COMMON_WIRE_PARAMETER_SINK_H_
#define PARLEY_COMMON_WIRE_PARAMETER_SINK_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/model/parameters.h"
#include "common/wire/chunk.h"
#include "common/wire/encoding.h"

namespace parley {

// Where one payload goes: as many encoded numbers as `into` has elements.
struct PayloadTarget {
  v1::Encoding encoding = v1::ENCODING_FLOAT32;
  ParameterVector* into = nullptr;  // borrowed
};

// Checks that a chunk goes on with `payload` at byte `offset`, where `left`
// bytes of numbers with `number` bytes each are still to come: InvalidArgument,
// and DataLoss of its checksum. Returns its bytes.
absl::StatusOr<uint64_t> CheckChunk(const ChunkHeader& header,
                                    absl::Span<const absl::string_view> pieces,
                                    uint32_t payload, uint64_t offset,
                                    uint64_t left, uint64_t number);
// What a chunk is refused with, whatever it is that is wrong.
absl::Status RefuseChunk(const ChunkHeader& header, absl::string_view why);
inline constexpr char kNotFinite[] =
    "has a number that is infinite or not a number";

// Decodes payloads, one after another, straight into parameter vectors. One
// sink may take several transfers: one that broke off is gone on with by
// another one that starts at received(). Thread-compatible.
class ParameterSink final : public ChunkSink {
 public:
  explicit ParameterSink(std::vector<PayloadTarget> targets);

  // Bytes that are whole and checked, counted over all payloads.
  uint64_t received() const { return received_; }

  absl::Status Write(const ChunkHeader& header,
                     absl::Span<const absl::string_view> pieces) override;
  bool whole() const override { return payload_ == targets_.size(); }
  absl::StatusOr<uint64_t> Finish() override;

 private:
  uint64_t BytesOf(const PayloadTarget& target) const {
    return target.into->elements() * EncodedSize(target.encoding);
  }
  void SkipFullPayloads();

  const std::vector<PayloadTarget> targets_;
  size_t payload_ = 0;   // that the next chunk must be of
  uint64_t offset_ = 0;  // at which it must start
  uint64_t received_ = 0;
};

// Decodes numbers that lie in pieces, one of which may end within a number.
// The pieces hold whole numbers together. Returns the end of what it wrote.
char* DecodePieces(v1::Encoding from,
                   absl::Span<const absl::string_view> pieces, DType to,
                   char* out);

}  // namespace parley

#endif  // PARLEY_COMMON_WIRE_PARAMETER_SINK_H_
