#include "server/rpc/server.h"

#include <vector>

#include "common/base/status_macros.h"

namespace parley {

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(
    const Options& options, Coordinator* coordinator, RunAdmin* admin) {
  std::unique_ptr<RpcServer> server(new RpcServer(coordinator, admin));
  std::vector<grpc::Service*> services = {&server->coordinator_service_};
  if (admin != nullptr) services.push_back(&server->admin_service_);
  PARLEY_ASSIGN_OR_RETURN(server->server_,
                          GrpcServer::Start(options, services));
  return server;
}

}  // namespace parley
