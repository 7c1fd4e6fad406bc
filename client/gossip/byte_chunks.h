// Bytes that are no plain numbers, as chunks.
#ifndef PARLEY_CLIENT_GOSSIP_BYTE_CHUNKS_H_
#define PARLEY_CLIENT_GOSSIP_BYTE_CHUNKS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "client/gossip/payload_sink.h"
#include "common/wire/chunk.h"

namespace parley {

// Gives `bytes` as chunks of payload `payload`.
class ByteSource final : public ChunkSource {
 public:
  // Shared: the bytes live as long as the source.
  ByteSource(std::shared_ptr<const std::string> bytes, uint32_t payload)
      : bytes_(std::move(bytes)), payload_(payload) {}
  std::optional<ChunkView> Next() override;

 private:
  const std::shared_ptr<const std::string> bytes_;
  const uint32_t payload_;
  uint64_t offset_ = 0;
};

// Takes exactly `size` bytes of payload `payload`, and hands them to `take`,
// which says whether they are good.
class ByteSink final : public PayloadSink {
 public:
  using Take = absl::AnyInvocable<absl::Status(const std::string&)>;
  ByteSink(uint64_t size, uint32_t payload, Take take)
      : size_(size), payload_(payload), take_(std::move(take)) {}
  absl::Status Write(const ChunkHeader& header,
                     absl::Span<const absl::string_view> pieces) override;
  absl::StatusOr<uint64_t> Finish() override;

 private:
  const uint64_t size_;
  const uint32_t payload_;
  Take take_;
  std::string bytes_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_BYTE_CHUNKS_H_
