// How a peer reaches its neighbours: one link for each, which carries messages
// and payloads both ways. By gRPC in the programs, in-process in the simulator
// and in tests.
#ifndef PARLEY_CLIENT_GOSSIP_PEER_LINK_H_
#define PARLEY_CLIENT_GOSSIP_PEER_LINK_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/gossip/payload_sink.h"
#include "common/wire/chunk.h"
#include "parley/v1/peer.pb.h"

namespace parley {

// Hears of one link, one call at a time, on the transport's threads; calls must
// not block.
class PeerLinkListener {
 public:
  virtual ~PeerLinkListener() = default;
  // Every message but chunks, in the order sent; Begin and End too.
  virtual void OnMessage(v1::PeerMessage message) = 0;
  // After the End of a payload, or at its first chunk that is wrong: what the
  // sink's Finish said, that is its bytes, or an error of the sink's.
  // FailedPrecondition: no sink was there. After an error the rest of the
  // payload is passed over.
  virtual void OnPayload(const absl::StatusOr<uint64_t>& bytes) = 0;
  // The last call. `status` says why the link ended.
  virtual void OnClosed(const absl::Status& status) = 0;
};

// One open stream. No call blocks. Two independent pumps: what waits to be
// written never holds up what is read. The destructor hangs up, once what Send
// was given before is on its way where that takes no long time, and returns
// after the listener's last call, or without any further one; so it must not
// run inside a listener's call. Thread-safe.
class PeerLink {
 public:
  virtual ~PeerLink() = default;

  // Goes out in order, but past a payload's chunks that still wait.
  virtual void Send(const v1::PeerMessage& message) = 0;

  // Sends `begin` (its kind is begin), all chunks of `source` and an End, after
  // what was sent before. One payload at a time: the next one is given when the
  // one before was answered. `source` is asked on the transport's threads, and
  // kept until its last chunk has left, which may be after the link's end;
  // shared for that.
  virtual void SendPayload(const v1::PeerMessage& begin,
                           std::shared_ptr<ChunkSource> source) = 0;

  // Where the next payload of the other end goes, from its Begin on. Called
  // before the other end is told that it may send. Written to on the
  // transport's threads; a sink that is replaced, or whose link ended, is let
  // go of once no call of it is under way.
  virtual void ReceivePayload(std::shared_ptr<PayloadSink> sink) = 0;

  // Chunks that moved, sent and received: grows while the link is alive.
  virtual uint64_t chunks() const = 0;
};

// The other end of an accepted link, as far as the transport can tell.
struct PeerOrigin {
  std::string address;           // for people
  std::string certificate_name;  // of a verified certificate, or empty
};

// Takes links that other peers dialled. Thread-safe; does not block.
class PeerAcceptor {
 public:
  virtual ~PeerAcceptor() = default;
  // The listener, which must outlive the link, hears from it after the return.
  // Null refuses: the acceptor has let go of the link.
  virtual PeerLinkListener* Accept(PeerOrigin origin,
                                   std::unique_ptr<PeerLink> link) = 0;
};

// Thread-safe. Links must not outlive it.
class PeerTransport {
 public:
  virtual ~PeerTransport() = default;
  // Dials `address`; whether that works is told by OnMessage or OnClosed.
  virtual std::unique_ptr<PeerLink> Dial(const std::string& address,
                                         PeerLinkListener* listener) = 0;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_PEER_LINK_H_
