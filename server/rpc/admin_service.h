// The Admin service of the protocol, on a RunAdmin.
#ifndef PARLEY_SERVER_RPC_ADMIN_SERVICE_H_
#define PARLEY_SERVER_RPC_ADMIN_SERVICE_H_

#include "common/rpc/live_calls.h"
#include "parley/v1/admin.grpc.pb.h"
#include "server/host/run_admin.h"

namespace parley {

// Translates and delegates. Must outlive the server that it is registered with;
// the destructor waits for what is left of its calls.
class AdminService final : public v1::Admin::CallbackService {
 public:
  explicit AdminService(RunAdmin* admin) : admin_(admin) {}

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::StatusRequest* request,
                                      v1::RunStatus* response) override;
  grpc::ServerWriteReactor<v1::RunStatus>* Watch(
      grpc::CallbackServerContext* context,
      const v1::StatusRequest* request) override;
  grpc::ServerUnaryReactor* Stop(grpc::CallbackServerContext* context,
                                 const v1::StopRequest* request,
                                 v1::StopReply* response) override;
  grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext* context,
                                   const v1::SubmitRequest* request,
                                   v1::SubmitReply* response) override;
  grpc::ServerUnaryReactor* ListRuns(grpc::CallbackServerContext* context,
                                     const v1::ListRunsRequest* request,
                                     v1::ListRunsReply* response) override;

 private:
  RunAdmin* const admin_;
  LiveCalls calls_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RPC_ADMIN_SERVICE_H_
