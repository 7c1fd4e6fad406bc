// A gRPC server as Parley's programs run one: one port with bounded
// connections, health checks and reflection.
#ifndef PARLEY_COMMON_RPC_GRPC_SERVER_H_
#define PARLEY_COMMON_RPC_GRPC_SERVER_H_

#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "common/rpc/credentials.h"
#include "common/rpc/listener.h"

namespace parley {

// Serves from Start until Shutdown or destruction. Thread-compatible.
class GrpcServer {
 public:
  struct Options {
    std::string address = "127.0.0.1:0";  // port 0: any free one
    Security security = {};
    int lookahead_bytes = kDefaultLookaheadBytes;
    int max_connections = 11000;  // about
  };

  // The services must outlive the server. FailedPrecondition: unencrypted
  // beyond loopback. InvalidArgument: certificate files. Unavailable: cannot
  // listen there, and why.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(
      const Options& options, const std::vector<grpc::Service*>& services);
  ~GrpcServer();

  int port() const { return listener_->port(); }  // 0 at a Unix socket

  // Stops listening, gives open calls `grace` to end, cancels those that did
  // not, and returns when none is left.
  void Shutdown(absl::Duration grace);

 private:
  GrpcServer() = default;

  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace parley

#endif  // PARLEY_COMMON_RPC_GRPC_SERVER_H_
