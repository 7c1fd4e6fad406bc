// One Session stream on the client's side.
#ifndef PARLEY_CLIENT_RPC_SESSION_STREAM_H_
#define PARLEY_CLIENT_RPC_SESSION_STREAM_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/client_callback.h>

#include <deque>
#include <memory>
#include <utility>

#include "client/rpc/failed_dial.h"
#include "client/session/coordinator_transport.h"
#include "common/base/mutex.h"
#include "common/rpc/chunk_codec.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

// The stream is opened by construction and cancelled by destruction, which
// waits for its end. Messages are written one at a time. Thread-safe.
class SessionStream final
    : public ClientSession,
      private grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  SessionStream(std::shared_ptr<grpc::Channel> channel,
                SessionListener* listener);
  ~SessionStream() override;

  void Send(v1::ClientMessage message) override {
    Enqueue(EncodeSessionMessage(std::move(message), nullptr));
  }
  void SendWithChunks(v1::ClientMessage message, SharedChunks chunks) override {
    Enqueue(EncodeSessionMessage(std::move(message), chunks));
  }

 private:
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;
  void Enqueue(grpc::ByteBuffer bytes);
  // Writes the next message, or lets the stream end.
  void Advance();

  grpc::GenericStub stub_;
  SessionListener* const listener_;
  grpc::ClientContext context_;
  grpc::ByteBuffer in_;   // being read
  grpc::ByteBuffer out_;  // being written

  Mutex mu_;
  CondVar ended_;
  std::deque<grpc::ByteBuffer> queue_ GUARDED_BY(mu_);
  bool writing_ GUARDED_BY(mu_) = false;
  bool broken_ GUARDED_BY(mu_) = false;  // nothing more can be sent
  // gRPC does not end the stream while we might still write.
  bool holding_ GUARDED_BY(mu_) = true;
  bool done_ GUARDED_BY(mu_) = false;
};

// In place of a session that could not be dialled: tells why.
class FailedSession final : public ClientSession {
 public:
  FailedSession(absl::Status why, SessionListener* listener)
      : failed_([why = std::move(why), listener] { listener->OnClosed(why); }) {
  }
  void Send(v1::ClientMessage) override {}

 private:
  FailedDial failed_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_RPC_SESSION_STREAM_H_
