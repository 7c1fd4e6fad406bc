// One Session stream, as the coordinator sees it and as gRPC does.
#ifndef PARLEY_SERVER_RPC_SESSION_REACTOR_H_
#define PARLEY_SERVER_RPC_SESSION_REACTOR_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "common/base/mutex.h"
#include "common/rpc/call_end.h"
#include "common/rpc/chunk_codec.h"
#include "common/rpc/live_calls.h"
#include "parley/v1/coordinator.pb.h"
#include "server/run/coordinator.h"

namespace parley {

// Lives from Open until gRPC's OnDone and the coordinator's last pointer have
// both gone. Messages wait in a queue and are written one at a time; a client
// that lets more than kMaxQueuedBytes wait is cut off. Thread-safe.
class SessionReactor final
    : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
      public SessionSink {
 public:
  static constexpr size_t kMaxQueuedBytes = 4 << 20;

  // To be returned to gRPC.
  static SessionReactor* Open(grpc::CallbackServerContext* context,
                              Coordinator* coordinator, LiveCalls* calls);

  void Send(v1::ServerMessage message) override {
    Enqueue(
        {EncodeSessionMessage(std::move(message), nullptr), /*ahead=*/false});
  }
  void SendAhead(v1::ServerMessage message) override {
    Enqueue(
        {EncodeSessionMessage(std::move(message), nullptr), /*ahead=*/true});
  }
  void SendWithChunks(v1::ServerMessage message, SharedChunks chunks) override {
    Enqueue(
        {EncodeSessionMessage(std::move(message), chunks), /*ahead=*/false});
  }
  void Close(const absl::Status& status) override;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;

  SessionReactor(grpc::CallbackServerContext* context, Coordinator* coordinator,
                 LiveCalls* calls);

 private:
  struct Waiting {
    grpc::ByteBuffer bytes;
    bool ahead;  // of another one, which it may wait for
  };

  void Enqueue(Waiting message);
  // Ends the session from this side and tells the coordinator, unless it is
  // the one that ended it.
  void Break(const absl::Status& why);
  // Writes the next message, or finishes after the last.
  void Advance();

  CallEnd call_end_;
  Coordinator* const coordinator_;
  SessionId id_ = 0;
  grpc::ByteBuffer in_;   // being read
  grpc::ByteBuffer out_;  // being written

  Mutex mu_;
  std::deque<Waiting> queue_ GUARDED_BY(mu_);
  size_t queued_bytes_ GUARDED_BY(mu_) = 0;
  bool too_slow_ GUARDED_BY(mu_) = false;
  bool begun_ GUARDED_BY(mu_) = false;  // a message was written
  bool writing_ GUARDED_BY(mu_) = false;
  bool finished_ GUARDED_BY(mu_) = false;
  std::optional<absl::Status> end_ GUARDED_BY(mu_);  // to finish with

  std::optional<LiveCalls::Ref> live_;    // until OnDone
  std::shared_ptr<SessionReactor> self_;  // until OnDone
};

}  // namespace parley

#endif  // PARLEY_SERVER_RPC_SESSION_REACTOR_H_
