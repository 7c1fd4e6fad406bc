#include "server/rpc/session_reactor.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/credentials.h"
#include "common/rpc/status.h"
#include "common/wire/protocol.h"

namespace parley {
SessionReactor* SessionReactor::Open(grpc::CallbackServerContext* context,
                                     Coordinator* coordinator,
                                     LiveCalls* calls) {
  auto reactor = std::make_shared<SessionReactor>(context, coordinator, calls);
  reactor->self_ = reactor;
  reactor->id_ =
      coordinator->OpenSession({.address = context->peer(),
                                .certificate_name = CertificateName(*context)},
                               reactor);
  reactor->StartRead(&reactor->in_);
  return reactor.get();
}

SessionReactor::SessionReactor(grpc::CallbackServerContext* context,
                               Coordinator* coordinator, LiveCalls* calls)
    : call_end_(context), coordinator_(coordinator), live_(calls) {}

void SessionReactor::Enqueue(Waiting message) {
  const size_t bytes = message.bytes.Length();
  bool too_slow = false;
  {
    MutexLock lock(mu_);
    if (end_) return;
    too_slow = too_slow_ = too_slow_ || queued_bytes_ + bytes > kMaxQueuedBytes;
    if (!too_slow) {
      queued_bytes_ += bytes;
      queue_.push_back(std::move(message));
    }
  }
  if (too_slow) {
    // What is being written may never be read: only cancelling ends that.
    call_end_.Cancel();
  } else {
    Advance();
  }
}

void SessionReactor::Close(const absl::Status& status) {
  {
    MutexLock lock(mu_);
    if (end_) return;
    end_ = status;
  }
  Advance();
}

void SessionReactor::Break(const absl::Status& why) {
  {
    MutexLock lock(mu_);
    if (end_) return;
    end_ = why;
  }
  coordinator_->CloseSession(id_, why);
  Advance();
}

void SessionReactor::OnReadDone(bool ok) {
  if (!ok) {
    bool too_slow;
    {
      MutexLock lock(mu_);
      too_slow = too_slow_;
    }
    return Break(too_slow ? absl::ResourceExhaustedError(
                                "the client reads too slowly: too much waits")
                          : absl::CancelledError("the stream ended"));
  }
  v1::ClientMessage message;
  const absl::Status read = DecodeSessionMessage(&in_, &message);
  in_.Clear();
  if (!read.ok()) return Break(read);
  {
    MutexLock lock(mu_);
    if (end_) return;
  }
  coordinator_->Receive(id_, std::move(message));
  StartRead(&in_);
}

void SessionReactor::OnWriteDone(bool ok) {
  {
    MutexLock lock(mu_);
    writing_ = false;
    queued_bytes_ -= out_.Length();
    out_.Clear();
    if (!ok) {  // the stream is broken; reading will say so
      queue_.clear();
      queued_bytes_ = 0;
    }
  }
  Advance();
}

void SessionReactor::Advance() {
  std::optional<absl::Status> finish;
  grpc::WriteOptions options;
  {
    MutexLock lock(mu_);
    if (writing_ || finished_) return;
    if (!queue_.empty()) {
      out_ = std::move(queue_.front().bytes);
      // The first one brings the stream's metadata, without which gRPC does
      // not say that a message is written.
      if (queue_.front().ahead && begun_) options.set_buffer_hint();
      begun_ = true;
      queue_.pop_front();
      writing_ = true;
    } else if (end_) {
      finish = end_;
      finished_ = true;
    } else {
      return;
    }
  }
  // Only one thread at a time comes here, and none after Finish.
  if (finish) {
    call_end_.Finish([this, status = ToGrpc(*finish)] { Finish(status); });
  } else {
    StartWrite(&out_, options);
  }
}

void SessionReactor::OnDone() {
  const std::shared_ptr<SessionReactor> self = std::move(self_);
  live_.reset();
}

}  // namespace parley
