#include "client/rpc/session_stream.h"

#include <utility>

#include "common/rpc/status.h"

namespace parley {
namespace {

constexpr char kSession[] = "/parley.v1.Coordinator/Session";

}  // namespace

SessionStream::SessionStream(std::shared_ptr<grpc::Channel> channel,
                             SessionListener* listener)
    : stub_(std::move(channel)), listener_(listener) {
  stub_.PrepareBidiStreamingCall(&context_, kSession, {}, this);
  AddHold();
  StartRead(&in_);
  StartCall();
}

SessionStream::~SessionStream() {
  context_.TryCancel();
  MutexLock lock(mu_);
  while (!done_) ended_.Wait(mu_);
}

void SessionStream::Enqueue(grpc::ByteBuffer bytes) {
  {
    MutexLock lock(mu_);
    if (broken_) return;
    queue_.push_back(std::move(bytes));
  }
  Advance();
}

void SessionStream::OnReadDone(bool ok) {
  if (ok) {
    v1::ServerMessage message;
    const absl::Status read = DecodeSessionMessage(&in_, &message);
    in_.Clear();
    if (read.ok()) {
      listener_->OnMessage(std::move(message));
      StartRead(&in_);
      return;
    }
    context_.TryCancel();
  }
  {
    MutexLock lock(mu_);
    broken_ = true;
  }
  Advance();
}

void SessionStream::OnWriteDone(bool ok) {
  {
    MutexLock lock(mu_);
    writing_ = false;
    out_.Clear();
    if (!ok) broken_ = true;
  }
  Advance();
}

void SessionStream::Advance() {
  bool release = false;
  {
    MutexLock lock(mu_);
    if (writing_ || !holding_) return;
    if (broken_) {
      holding_ = false;
      release = true;
    } else if (!queue_.empty()) {
      out_ = std::move(queue_.front());
      queue_.pop_front();
      writing_ = true;
    } else {
      return;
    }
  }
  // Only one thread at a time comes here, and none after the release.
  if (release) {
    RemoveHold();
  } else {
    StartWrite(&out_);
  }
}

void SessionStream::OnDone(const grpc::Status& status) {
  listener_->OnClosed(FromGrpc(status));
  MutexLock lock(mu_);
  done_ = true;
  ended_.SignalAll();
}

}  // namespace parley
