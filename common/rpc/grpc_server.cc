#include "common/rpc/grpc_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace parley {

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(
    const Options& options, const std::vector<grpc::Service*>& services) {
  PARLEY_ASSIGN_OR_RETURN(
      auto credentials,
      MakeServerCredentials(options.address, options.security));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  std::unique_ptr<GrpcServer> server(new GrpcServer);
  grpc::ServerBuilder builder;
  SetServerArguments(&builder, options.lookahead_bytes);
  // Only reflection is served by threads of its own.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  for (grpc::Service* service : services) builder.RegisterService(service);
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

GrpcServer::~GrpcServer() { Shutdown(absl::ZeroDuration()); }

void GrpcServer::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;
  listener_->Stop();
  server_->GetHealthCheckService()->SetServingStatus(false);
  server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  server_->Wait();
  server_.reset();
}

}  // namespace parley
