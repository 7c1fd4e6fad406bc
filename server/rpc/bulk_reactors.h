// Download and Upload on the server's side: chunks between a coordinator's
// sources and sinks and gRPC's buffers.
#ifndef PARLEY_SERVER_RPC_BULK_REACTORS_H_
#define PARLEY_SERVER_RPC_BULK_REACTORS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>

#include "common/base/mutex.h"
#include "common/rpc/call_end.h"
#include "common/rpc/chunk_codec.h"
#include "common/rpc/live_calls.h"
#include "server/run/coordinator.h"

namespace parley {

// Waits for the coordinator's source, then writes its chunks one at a time.
// Lives until OnDone, and until the coordinator's answer where that is later.
class DownloadReactor final
    : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  // To be returned to gRPC.
  static DownloadReactor* Open(grpc::CallbackServerContext* context,
                               Coordinator* coordinator, LiveCalls* calls,
                               const grpc::ByteBuffer& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  DownloadReactor(grpc::CallbackServerContext* context, LiveCalls* calls)
      : end_(context), live_(calls) {}

 private:
  // A source that gRPC may view even after the call.
  struct HeldSource {
    LiveCalls::Ref live;
    std::unique_ptr<ChunkSource> source;
  };

  void Ready(absl::StatusOr<std::unique_ptr<ChunkSource>> source);
  void WriteNext();
  void BreakOff(const absl::Status& why);
  void End(const absl::Status& status);
  // True for the first of Ready and OnCancel: it decides how to go on.
  bool EndWaiting();

  CallEnd end_;
  std::shared_ptr<HeldSource> held_;
  grpc::ByteBuffer buffer_;  // being written

  Mutex mu_;
  bool waiting_ GUARDED_BY(mu_) = true;
  absl::Status broken_off_ GUARDED_BY(mu_);

  std::optional<LiveCalls::Ref> live_;     // until OnDone
  std::shared_ptr<DownloadReactor> self_;  // until OnDone
};

// Reads the first chunk, waits for the coordinator's sink, then reads on, one
// chunk at a time, so that a slow sink slows the client down. Lives as above.
class UploadReactor final : public grpc::ServerReadReactor<grpc::ByteBuffer> {
 public:
  // To be returned to gRPC. `response` is filled before the call finishes.
  static UploadReactor* Open(Coordinator* coordinator, LiveCalls* calls,
                             grpc::ByteBuffer* response);

  void OnReadDone(bool ok) override;
  void OnSendInitialMetadataDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  UploadReactor(Coordinator* coordinator, LiveCalls* calls,
                grpc::ByteBuffer* response)
      : coordinator_(coordinator), response_(response), live_(calls) {}

 private:
  void Ready(absl::StatusOr<std::unique_ptr<ChunkSink>> sink);
  // Hands chunk_ to the sink and reads the next.
  void Consume();
  void Refuse(const absl::Status& why);
  void BreakOff(const absl::Status& why);
  void ReadNext();
  bool EndWaiting();

  Coordinator* const coordinator_;
  grpc::ByteBuffer* const response_;
  grpc::ByteBuffer buffer_;  // being read, then viewed by chunk_
  ReceivedChunk chunk_;
  std::unique_ptr<ChunkSink> sink_;

  Mutex mu_;
  bool waiting_ GUARDED_BY(mu_) = false;  // for Ready
  bool reading_ GUARDED_BY(mu_) = false;
  absl::Status broken_off_ GUARDED_BY(mu_);

  std::optional<LiveCalls::Ref> live_;   // until OnDone
  std::shared_ptr<UploadReactor> self_;  // until OnDone
};

}  // namespace parley

#endif  // PARLEY_SERVER_RPC_BULK_REACTORS_H_
