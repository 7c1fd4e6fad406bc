#include "client/rpc/session_stream.h"

#include <utility>

#include "common/rpc/status.h"

namespace parley {

SessionStream::SessionStream(std::shared_ptr<grpc::Channel> channel,
                             SessionListener* listener)
    : stub_(v1::Coordinator::NewStub(std::move(channel))), listener_(listener) {
  stub_->async()->Session(&context_, this);
  AddHold();
  StartRead(&in_);
  StartCall();
}

SessionStream::~SessionStream() {
  context_.TryCancel();
  MutexLock lock(mu_);
  while (!done_) ended_.Wait(mu_);
}

void SessionStream::Send(v1::ClientMessage message) {
  {
    MutexLock lock(mu_);
    if (broken_) return;
    queue_.push_back(std::move(message));
  }
  Advance();
}

void SessionStream::OnReadDone(bool ok) {
  if (ok) {
    listener_->OnMessage(std::exchange(in_, {}));
    StartRead(&in_);
    return;
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
