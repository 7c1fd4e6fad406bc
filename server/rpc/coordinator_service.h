// The Coordinator service of the protocol, on a Coordinator.
#ifndef PARLEY_SERVER_RPC_COORDINATOR_SERVICE_H_
#define PARLEY_SERVER_RPC_COORDINATOR_SERVICE_H_

#include "common/rpc/live_calls.h"
#include "parley/v1/coordinator.grpc.pb.h"
#include "server/rpc/bulk_reactors.h"
#include "server/rpc/session_reactor.h"
#include "server/run/coordinator.h"

namespace parley {

// Translates and delegates. Methods that carry numbers are raw: their messages
// are handled as gRPC's buffers. Must outlive the server that it is registered
// with; the destructor waits for what is left of its calls.
class CoordinatorService final
    : public v1::Coordinator::WithRawCallbackMethod_Session<
          v1::Coordinator::WithRawCallbackMethod_Download<
              v1::Coordinator::WithRawCallbackMethod_Upload<
                  v1::Coordinator::Service>>> {
 public:
  explicit CoordinatorService(Coordinator* coordinator)
      : coordinator_(coordinator) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Session(
      grpc::CallbackServerContext* context) override {
    return SessionReactor::Open(context, coordinator_, &calls_);
  }
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Download(
      grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* request) override {
    return DownloadReactor::Open(context, coordinator_, &calls_, *request);
  }
  grpc::ServerReadReactor<grpc::ByteBuffer>* Upload(
      grpc::CallbackServerContext*, grpc::ByteBuffer* response) override {
    return UploadReactor::Open(coordinator_, &calls_, response);
  }

 private:
  Coordinator* const coordinator_;
  LiveCalls calls_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RPC_COORDINATOR_SERVICE_H_
