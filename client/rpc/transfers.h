// Download and Upload on the client's side: chunks between our sources and
// sinks and gRPC's buffers.
#ifndef PARLEY_CLIENT_RPC_TRANSFERS_H_
#define PARLEY_CLIENT_RPC_TRANSFERS_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>

#include <memory>
#include <optional>
#include <string>

#include "client/session/coordinator_transport.h"
#include "common/base/mutex.h"
#include "common/rpc/chunk_codec.h"

namespace parley {

// Begun by construction, cancelled by destruction, which waits for the end.
class DownloadTransfer final
    : public Transfer,
      private grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  DownloadTransfer(std::shared_ptr<grpc::Channel> channel,
                   const v1::DownloadRequest& request, ChunkSink* sink,
                   CoordinatorTransport::Done done);
  ~DownloadTransfer() override;

 private:
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  ChunkSink* const sink_;
  CoordinatorTransport::Done done_callback_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer buffer_;  // being read
  ReceivedChunk chunk_;
  absl::Status sink_status_;  // what the sink, or reading, refused

  Mutex mu_;
  CondVar ended_;
  bool done_ GUARDED_BY(mu_) = false;
};

// Begun by construction, cancelled by destruction, which waits for the end, and
// until gRPC has let go of the source's numbers.
class UploadTransfer final
    : public Transfer,
      private grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  UploadTransfer(std::shared_ptr<grpc::Channel> channel,
                 const v1::TransferHeader& header, ChunkSource* source,
                 CoordinatorTransport::Done done);
  ~UploadTransfer() override;

 private:
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;
  void WriteNext();

  grpc::GenericStub stub_;
  std::unique_ptr<grpc::ClientContext> context_;
  const v1::TransferHeader header_;
  ChunkSource* const source_;
  CoordinatorTransport::Done done_callback_;
  grpc::ByteBuffer buffer_;  // being written
  // The chunk after it: one ahead, so that the end goes with the last one.
  std::optional<grpc::ByteBuffer> next_;
  grpc::ByteBuffer reply_;

  Mutex mu_;
  CondVar ended_;
  bool done_ GUARDED_BY(mu_) = false;
  bool viewed_ GUARDED_BY(mu_) = true;  // gRPC may view the source's numbers
  // Shared with each buffer that views them; the last one clears viewed_.
  std::shared_ptr<const void> view_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_RPC_TRANSFERS_H_
