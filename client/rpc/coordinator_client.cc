#include "client/rpc/coordinator_client.h"

#include "client/rpc/session_stream.h"
#include "client/rpc/transfers.h"
#include "common/base/log.h"

namespace parley {

std::unique_ptr<ClientSession> CoordinatorClient::OpenSession(
    const std::string& address, SessionListener* listener) {
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
      Dial(address, options_);
  if (!channel.ok()) {
    return std::make_unique<FailedSession>(channel.status(), listener);
  }
  {
    MutexLock lock(mu_);
    latest_ = *channel;
  }
  return std::make_unique<SessionStream>(*channel, listener);
}

std::unique_ptr<Transfer> CoordinatorClient::Download(
    const v1::DownloadRequest& request, ChunkSink* sink, Done done) {
  return std::make_unique<DownloadTransfer>(latest(), request, sink,
                                            std::move(done));
}

std::unique_ptr<Transfer> CoordinatorClient::Upload(
    const v1::TransferHeader& header, ChunkSource* source, Done done) {
  return std::make_unique<UploadTransfer>(latest(), header, source,
                                          std::move(done));
}

std::shared_ptr<grpc::Channel> CoordinatorClient::latest() {
  MutexLock lock(mu_);
  PARLEY_CHECK(latest_ != nullptr);
  return latest_;
}

}  // namespace parley
