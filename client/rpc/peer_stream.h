// One Exchange stream between two peers, whichever end dialled.
#ifndef PARLEY_CLIENT_RPC_PEER_STREAM_H_
#define PARLEY_CLIENT_RPC_PEER_STREAM_H_

#include <grpcpp/alarm.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/gossip/peer_link.h"
#include "common/base/mutex.h"
#include "common/rpc/chunk_codec.h"

namespace parley {

// The two pumps of a link. One writes what waits, one message at a time:
// others before the chunks of a payload. The other one reads, one message at a
// time, and hands it on. Neither waits for the other. The two ends of a call
// derive from it and bring gRPC's operations; they live until gRPC has done
// with them, and the link that stands on them is gone. Thread-safe.
class PeerStream : public std::enable_shared_from_this<PeerStream> {
 public:
  // More than this may not wait for a peer, chunks apart.
  static constexpr size_t kMaxQueuedBytes = 4 << 20;
  // From the stream's begin, dialling included, to the peer's first message.
  static constexpr absl::Duration kHelloTimeout = absl::Seconds(20);
  // What was to be sent before hanging up is on its way by then, or never.
  static constexpr absl::Duration kHangUpTimeout = absl::Seconds(1);

  virtual ~PeerStream() = default;

  // As PeerLink's.
  void Send(const v1::PeerMessage& message);
  void SendPayload(const v1::PeerMessage& begin,
                   std::shared_ptr<ChunkSource> source);
  void ReceivePayload(std::shared_ptr<PayloadSink> sink);
  uint64_t chunks() const { return chunks_; }
  void HangUp();  // what the link's destructor does

 protected:
  // A null listener is asked for once the first message is here.
  PeerStream(PeerLinkListener* listener, absl::Duration hello_timeout)
      : hello_timeout_(hello_timeout), listener_(listener) {}

  // Begins to read, and to wait for the first message.
  void Open();
  // What became of Read and Write; and that the call is over, the last of all.
  void OnRead(bool ok);
  void OnWritten(bool ok) { Advance(ok); }
  void OnEnded(const absl::Status& status);

  // gRPC's operations. Read is called in OnRead and Open only, Write until End.
  virtual void Read(grpc::ByteBuffer* into) = 0;
  virtual void Write(const grpc::ByteBuffer* message) = 0;
  virtual void End(const absl::Status& status) = 0;
  virtual void Cancel() = 0;  // at any time until OnEnded, and later
  // The listener of a stream that was accepted, once a hello is here; or null.
  virtual PeerLinkListener* Introduce() = 0;

 private:
  struct Waiting {
    grpc::ByteBuffer bytes;
    std::shared_ptr<ChunkSource> source;  // of a Begin
  };
  enum class Receiving { kNothing, kPayload, kPassingOver };

  void Enqueue(const v1::PeerMessage& message,
               std::shared_ptr<ChunkSource> source);
  // Writes the next message, or ends; `written` is what became of the last.
  void Advance(std::optional<bool> written = std::nullopt);
  // What was read. An error: the peer does not keep to the protocol.
  absl::Status Take();
  absl::Status TakeMessage(v1::PeerMessage message);
  absl::Status TakeChunk(const ReceivedChunk& chunk);
  void FinishPayload();
  void EndPayload(const std::shared_ptr<PayloadSink>& sink, Receiving next,
                  const absl::StatusOr<uint64_t>& bytes);
  // Reads no more; `flush`: still writes what waits, but for chunks.
  void Close(const absl::Status& why, bool flush);
  void Break(const absl::Status& why);  // tells the peer, too
  template <typename F>
  void Tell(F call);

  const absl::Duration hello_timeout_;

  // Of whoever writes.
  grpc::ByteBuffer out_;
  bool out_is_chunk_ = false;
  // Of the one that reads.
  grpc::ByteBuffer in_;
  bool greeted_ = false;

  std::atomic<uint64_t> chunks_{0};
  grpc::Alarm hello_alarm_;
  grpc::Alarm hang_up_alarm_;

  Mutex mu_;
  CondVar told_;
  PeerLinkListener* listener_ GUARDED_BY(mu_);
  bool telling_ GUARDED_BY(mu_) = false;   // the listener hears something
  bool detached_ GUARDED_BY(mu_) = false;  // the link is gone
  std::deque<Waiting> queue_ GUARDED_BY(mu_);
  size_t queued_bytes_ GUARDED_BY(mu_) = 0;
  // Of the payload whose Begin was written and whose End was not.
  std::shared_ptr<ChunkSource> source_ GUARDED_BY(mu_);
  bool writing_ GUARDED_BY(mu_) = false;
  bool broken_ GUARDED_BY(mu_) = false;   // nothing more can be written
  bool closing_ GUARDED_BY(mu_) = false;  // for the reason `why_`
  bool ended_ GUARDED_BY(mu_) = false;
  absl::Status why_ GUARDED_BY(mu_);
  std::shared_ptr<PayloadSink> next_sink_ GUARDED_BY(mu_);
  std::shared_ptr<PayloadSink> sink_ GUARDED_BY(mu_);  // of what comes now
  Receiving receiving_ GUARDED_BY(mu_) = Receiving::kNothing;
};

// The link that a stream is to the node.
class StreamLink final : public PeerLink {
 public:
  explicit StreamLink(std::shared_ptr<PeerStream> stream)
      : stream_(std::move(stream)) {}
  ~StreamLink() override { stream_->HangUp(); }

  void Send(const v1::PeerMessage& message) override { stream_->Send(message); }
  void SendPayload(const v1::PeerMessage& begin,
                   std::shared_ptr<ChunkSource> source) override {
    stream_->SendPayload(begin, std::move(source));
  }
  void ReceivePayload(std::shared_ptr<PayloadSink> sink) override {
    stream_->ReceivePayload(std::move(sink));
  }
  uint64_t chunks() const override { return stream_->chunks(); }

 private:
  const std::shared_ptr<PeerStream> stream_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_RPC_PEER_STREAM_H_
