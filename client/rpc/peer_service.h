// The port at which a peer is dialled by others.
#ifndef PARLEY_CLIENT_RPC_PEER_SERVICE_H_
#define PARLEY_CLIENT_RPC_PEER_SERVICE_H_

#include <atomic>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/gossip/peer_link.h"
#include "client/rpc/peer_stream.h"
#include "common/rpc/grpc_server.h"
#include "common/rpc/live_calls.h"
#include "parley/v1/peer.grpc.pb.h"

namespace parley {

// Makes a link of each Exchange whose first message is a hello that comes in
// time; the acceptor does not hear of others. Must outlive the server that it
// is registered with; the destructor waits for what is left of its calls.
class PeerService final
    : public v1::Peer::WithRawCallbackMethod_Exchange<v1::Peer::Service> {
 public:
  // So many streams at once may be without a hello.
  static constexpr int kMaxStrangers = 256;

  PeerService(PeerAcceptor* acceptor, absl::Duration hello_timeout)
      : acceptor_(acceptor), hello_timeout_(hello_timeout) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Exchange(
      grpc::CallbackServerContext* context) override;

 private:
  PeerAcceptor* const acceptor_;
  const absl::Duration hello_timeout_;
  std::atomic<int> strangers_{0};
  LiveCalls calls_;
};

// A gRPC server with that service: one port, health checks, reflection. Serves
// from Start until destruction, which gives links a moment to hang up and
// breaks off what is left; they may still stand on their streams.
class PeerServer {
 public:
  // The acceptor must outlive the server. Errors are those of GrpcServer.
  static absl::StatusOr<std::unique_ptr<PeerServer>> Start(
      const GrpcServer::Options& options, PeerAcceptor* acceptor,
      absl::Duration hello_timeout = PeerStream::kHelloTimeout);
  ~PeerServer();

  int port() const { return server_->port(); }  // 0 at a Unix socket

 private:
  PeerServer(PeerAcceptor* acceptor, absl::Duration hello_timeout)
      : service_(acceptor, hello_timeout) {}

  PeerService service_;
  std::unique_ptr<GrpcServer> server_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_RPC_PEER_SERVICE_H_
