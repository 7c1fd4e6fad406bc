#include "server/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/address.h"

namespace parley {

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(
    const Options& options, Coordinator* coordinator) {
  PARLEY_ASSIGN_OR_RETURN(
      auto credentials,
      MakeServerCredentials(options.address, options.security));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  std::unique_ptr<RpcServer> server(new RpcServer(coordinator));
  grpc::ServerBuilder builder;
  SetServerArguments(&builder, options.lookahead_bytes);
  // Only reflection is served by threads of its own.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  builder.RegisterService(&server->coordinator_service_);
  builder.RegisterService(&server->admin_service_);
  builder.AddListeningPort(options.address, credentials, &server->port_);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || server->port_ == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen at ", options.address, ": ",
                     WhyNotListening(options.address)));
  }
  return server;
}

RpcServer::~RpcServer() { Shutdown(absl::ZeroDuration()); }

void RpcServer::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;
  server_->GetHealthCheckService()->SetServingStatus(false);
  server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  server_->Wait();
  server_.reset();
}

}  // namespace parley
