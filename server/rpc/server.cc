#include "server/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace parley {

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(
    const Options& options, Coordinator* coordinator, RunAdmin* admin) {
  PARLEY_ASSIGN_OR_RETURN(
      auto credentials,
      MakeServerCredentials(options.address, options.security));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  std::unique_ptr<RpcServer> server(new RpcServer(coordinator, admin));
  grpc::ServerBuilder builder;
  SetServerArguments(&builder, options.lookahead_bytes);
  // Only reflection is served by threads of its own.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  builder.RegisterService(&server->coordinator_service_);
  if (admin != nullptr) builder.RegisterService(&server->admin_service_);
  PARLEY_ASSIGN_OR_RETURN(
      server->listener_,
      Listener::Open(options.address, options.max_connections));
  using External = grpc::ServerBuilder::experimental_type;
  std::unique_ptr<Listener::Acceptor> acceptor =
      builder.experimental().AddExternalConnectionAcceptor(
          External::ExternalConnectionType::FROM_FD, credentials);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) {
    return absl::UnavailableError(
        "cannot start the gRPC server; the log may say why");
  }
  server->listener_->Start(std::move(acceptor));
  return server;
}

RpcServer::~RpcServer() { Shutdown(absl::ZeroDuration()); }

void RpcServer::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;
  listener_->Stop();
  server_->GetHealthCheckService()->SetServingStatus(false);
  server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  server_->Wait();
  server_.reset();
}

}  // namespace parley
