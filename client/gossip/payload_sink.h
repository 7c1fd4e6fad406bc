// Where a payload of a link goes.
#ifndef PARLEY_CLIENT_GOSSIP_PAYLOAD_SINK_H_
#define PARLEY_CLIENT_GOSSIP_PAYLOAD_SINK_H_

#include "common/wire/chunk.h"
#include "parley/v1/peer.pb.h"

namespace parley {

class PayloadSink : public ChunkSink {
 public:
  // Before the first chunk. Nobody has checked what it says.
  virtual void Begin(const v1::PeerBegin&) {}
};

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_PAYLOAD_SINK_H_
