// The way to other peers over gRPC.
#ifndef PARLEY_CLIENT_RPC_PEER_TRANSPORT_H_
#define PARLEY_CLIENT_RPC_PEER_TRANSPORT_H_

#include <memory>
#include <string>
#include <utility>

#include "client/gossip/peer_link.h"
#include "common/rpc/channel.h"
#include "common/rpc/live_calls.h"

namespace parley {

// Each link makes a connection of its own. What hinders dialling, such as a
// missing certificate, is told by OnClosed like a refused connection:
// FailedPrecondition or InvalidArgument, which trying again does not mend.
// The destructor waits until what hangs up has done so. Thread-safe.
class GrpcPeerTransport final : public PeerTransport {
 public:
  explicit GrpcPeerTransport(DialOptions options)
      : options_(std::move(options)) {}

  std::unique_ptr<PeerLink> Dial(const std::string& address,
                                 PeerLinkListener* listener) override;

 private:
  const DialOptions options_;
  LiveCalls calls_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_RPC_PEER_TRANSPORT_H_
