// The coordinator's gRPC server: one port for clients, admin, health checks and
// reflection.
#ifndef PARLEY_SERVER_RPC_SERVER_H_
#define PARLEY_SERVER_RPC_SERVER_H_

#include <grpcpp/server.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "common/rpc/credentials.h"
#include "server/host/run_admin.h"
#include "server/round/coordinator.h"
#include "server/rpc/admin_service.h"
#include "server/rpc/coordinator_service.h"
#include "server/rpc/listener.h"

namespace parley {

// Serves from Start until Shutdown or destruction. Thread-compatible.
class RpcServer {
 public:
  struct Options {
    std::string address = "127.0.0.1:0";  // port 0: any free one
    Security security = {};
    int lookahead_bytes = kDefaultLookaheadBytes;
    int max_connections = 11000;  // about
  };

  // Both must outlive the server; without `admin` there is no Admin service.
  // FailedPrecondition: unencrypted beyond loopback. InvalidArgument:
  // certificate files. Unavailable: cannot listen there, and why.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(
      const Options& options, Coordinator* coordinator, RunAdmin* admin);
  ~RpcServer();

  int port() const { return listener_->port(); }  // 0 at a Unix socket

  // Stops listening, gives open calls `grace` to end, cancels those that did
  // not, and returns when none is left. Close the sessions before.
  void Shutdown(absl::Duration grace);

 private:
  RpcServer(Coordinator* coordinator, RunAdmin* admin)
      : coordinator_service_(coordinator), admin_service_(admin) {}

  CoordinatorService coordinator_service_;
  AdminService admin_service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RPC_SERVER_H_
