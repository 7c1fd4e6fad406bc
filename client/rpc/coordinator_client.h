// The way to a coordinator over gRPC.
#ifndef PARLEY_CLIENT_RPC_COORDINATOR_CLIENT_H_
#define PARLEY_CLIENT_RPC_COORDINATOR_CLIENT_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <utility>

#include "client/session/coordinator_transport.h"
#include "common/base/mutex.h"
#include "common/rpc/channel.h"

namespace parley {

// Each session makes a connection of its own; transfers use that of the latest
// one. What hinders dialling, such as a missing certificate, is told by
// OnClosed like a refused connection: FailedPrecondition or InvalidArgument,
// which trying again does not mend. Thread-safe.
class CoordinatorClient final : public CoordinatorTransport {
 public:
  explicit CoordinatorClient(DialOptions options)
      : options_(std::move(options)) {}

  std::unique_ptr<ClientSession> OpenSession(
      const std::string& address, SessionListener* listener) override;

  // Only once a session's listener has heard a message. The destructor of an
  // upload waits for what a socket still has in hand of the source's numbers:
  // with a peer that is stuck, up to the keepalive timeout.
  std::unique_ptr<Transfer> Download(const v1::DownloadRequest& request,
                                     ChunkSink* sink, Done done) override;
  std::unique_ptr<Transfer> Upload(const v1::TransferHeader& header,
                                   ChunkSource* source, Done done) override;

 private:
  std::shared_ptr<grpc::Channel> latest();

  const DialOptions options_;
  Mutex mu_;
  std::shared_ptr<grpc::Channel> latest_ GUARDED_BY(mu_);
};

}  // namespace parley

#endif  // PARLEY_CLIENT_RPC_COORDINATOR_CLIENT_H_
