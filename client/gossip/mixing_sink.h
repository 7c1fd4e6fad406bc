// A payload that is mixed in while it comes, chunk by chunk in the cache, and
// counts only if the edge does.
#ifndef PARLEY_CLIENT_GOSSIP_MIXING_SINK_H_
#define PARLEY_CLIENT_GOSSIP_MIXING_SINK_H_

#include <cstdint>
#include <memory>

#include "client/gossip/payload_sink.h"
#include "common/kernels/kernels.h"
#include "common/model/parameters.h"

namespace parley {

// Makes, of what a neighbour k sent,
//   staged = mixed + w·(sent_k − sent)   of an exchange,
//   staged = mixed + w·sent_k            of a flow,
// and leaves `mixed` as it is: to take the edge is to take `staged` in its
// place, to drop it costs nothing.
class MixingSink final : public PayloadSink {
 public:
  struct Options {
    bool flow = false;
    double weight = 1;  // of the edge, before the scale that its Begin says
    double omega = 1;   // of this peer; of the neighbour's its Begin tells
    std::shared_ptr<const ParameterVector> sent;
    std::shared_ptr<const ParameterVector> mixed;  // null: zeros
    std::shared_ptr<ParameterVector> staged;       // all as long as `sent`
  };

  explicit MixingSink(Options options);

  void Begin(const v1::PeerBegin& begin) override;
  absl::Status Write(const ChunkHeader& header,
                     absl::Span<const absl::string_view> pieces) override;
  // Lets go of the vectors.
  absl::StatusOr<uint64_t> Finish() override;

  // After Finish: sent_k / ω_k beside sent / ω, their distance 0 where one of
  // the two has no model, that is ω = 0. The same to the last bit however the
  // payload was cut into chunks.
  const Comparison& compared() const { return compared_; }

 private:
  // What waits in the window, as far as it makes whole blocks. False: it has a
  // number that is none.
  template <typename T>
  bool Mix();

  Options options_;
  const DType dtype_;
  const int64_t elements_;
  double by_omega_ = 0, by_sent_omega_ = 0;  // 1/ω of the two, or 0
  ParameterVector window_;  // decoded, and not mixed yet: `waiting_` elements
  int64_t waiting_ = 0;
  int64_t mixed_ = 0;  // elements
  Comparison compared_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_MIXING_SINK_H_
