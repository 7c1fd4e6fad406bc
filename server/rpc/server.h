// The coordinator's gRPC server: one port for clients, admin, health checks and
// reflection.
#ifndef PARLEY_SERVER_RPC_SERVER_H_
#define PARLEY_SERVER_RPC_SERVER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/grpc_server.h"
#include "server/host/run_admin.h"
#include "server/rpc/admin_service.h"
#include "server/rpc/coordinator_service.h"
#include "server/run/coordinator.h"

namespace parley {

// Serves from Start until Shutdown or destruction. Thread-compatible.
class RpcServer {
 public:
  using Options = GrpcServer::Options;

  // Both must outlive the server; without `admin` there is no Admin service.
  // Errors are those of GrpcServer.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(
      const Options& options, Coordinator* coordinator, RunAdmin* admin);

  int port() const { return server_->port(); }  // 0 at a Unix socket

  // As GrpcServer's. Close the sessions before.
  void Shutdown(absl::Duration grace) { server_->Shutdown(grace); }

 private:
  RpcServer(Coordinator* coordinator, RunAdmin* admin)
      : coordinator_service_(coordinator), admin_service_(admin) {}

  CoordinatorService coordinator_service_;
  AdminService admin_service_;
  std::unique_ptr<GrpcServer> server_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RPC_SERVER_H_
