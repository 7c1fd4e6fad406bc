// The Admin service of the protocol, on a Coordinator.
#ifndef PARLEY_SERVER_RPC_ADMIN_SERVICE_H_
#define PARLEY_SERVER_RPC_ADMIN_SERVICE_H_

#include "parley/v1/admin.grpc.pb.h"
#include "server/round/coordinator.h"
#include "server/rpc/live_calls.h"

namespace parley {

// Translates and delegates. Must outlive the server that it is registered with;
// the destructor waits for what is left of its calls.
class AdminService final : public v1::Admin::CallbackService {
 public:
  explicit AdminService(Coordinator* coordinator) : coordinator_(coordinator) {}

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::StatusRequest* request,
                                      v1::RunStatus* response) override;
  grpc::ServerWriteReactor<v1::RunStatus>* Watch(
      grpc::CallbackServerContext* context,
      const v1::StatusRequest* request) override;
  grpc::ServerUnaryReactor* Stop(grpc::CallbackServerContext* context,
                                 const v1::StopRequest* request,
                                 v1::StopReply* response) override;

 private:
  Coordinator* const coordinator_;
  LiveCalls calls_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RPC_ADMIN_SERVICE_H_
