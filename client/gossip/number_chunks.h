// Numbers as chunks, which live as long as the transfer that moves them.
#ifndef PARLEY_CLIENT_GOSSIP_NUMBER_CHUNKS_H_
#define PARLEY_CLIENT_GOSSIP_NUMBER_CHUNKS_H_

#include <cstdint>
#include <memory>

#include "client/gossip/payload_sink.h"
#include "common/model/parameters.h"
#include "common/wire/chunk.h"
#include "common/wire/parameter_sink.h"
#include "common/wire/payload_source.h"

namespace parley {

// Gives the elements begin..end−1 as payload `payload`, in their own dtype.
class NumberSource final : public ChunkSource {
 public:
  NumberSource(std::shared_ptr<const ParameterVector> numbers, int64_t begin,
               int64_t end, uint32_t payload = 0);
  std::optional<ChunkView> Next() override;

 private:
  const std::shared_ptr<const ParameterVector> numbers_;  // shared: see above
  const uint32_t payload_;
  std::unique_ptr<PayloadSource> source_;
};

// Writes payload `payload` into all of `numbers`.
class NumberSink final : public PayloadSink {
 public:
  explicit NumberSink(std::shared_ptr<ParameterVector> numbers,
                      uint32_t payload = 0);
  absl::Status Write(const ChunkHeader& header,
                     absl::Span<const absl::string_view> pieces) override;
  absl::StatusOr<uint64_t> Finish() override { return sink_.Finish(); }

 private:
  const std::shared_ptr<ParameterVector> numbers_;  // shared: see above
  const uint32_t payload_;
  ParameterSink sink_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_NUMBER_CHUNKS_H_
