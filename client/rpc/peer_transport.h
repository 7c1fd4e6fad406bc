// The way to other peers over gRPC.
#ifndef PARLEY_CLIENT_RPC_PEER_TRANSPORT_H_
#define PARLEY_CLIENT_RPC_PEER_TRANSPORT_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/gossip/peer_link.h"
#include "common/base/mutex.h"
#include "common/rpc/channel.h"
#include "common/rpc/live_calls.h"

namespace parley {

// Each link makes a connection of its own. What hinders dialling, such as a
// missing certificate, is told by OnClosed like a refused connection:
// FailedPrecondition or InvalidArgument, which trying again does not mend.
// The destructor waits until what hangs up has done so. Thread-safe.
class GrpcPeerTransport final : public PeerTransport {
 public:
  // gRPC's threads end with the last channel, which so must not be destroyed
  // by one of them: those of streams that are over wait here for somebody else
  // to do it.
  class ChannelsOver {
   public:
    void Add(std::shared_ptr<grpc::Channel> channel);
    void Clear();

   private:
    Mutex mu_;
    std::vector<std::shared_ptr<grpc::Channel>> channels_ GUARDED_BY(mu_);
  };

  explicit GrpcPeerTransport(DialOptions options)
      : options_(std::move(options)) {}

  std::unique_ptr<PeerLink> Dial(const std::string& address,
                                 PeerLinkListener* listener) override;

 private:
  const DialOptions options_;
  ChannelsOver over_;  // goes after the streams
  LiveCalls calls_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_RPC_PEER_TRANSPORT_H_
