#include "client/rpc/peer_stream.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/log.h"

namespace parley {
namespace {

std::chrono::system_clock::time_point After(absl::Duration delay) {
  return absl::ToChronoTime(absl::Now() + delay);
}

}  // namespace

// ----------------------------------------------------------------- the link

void PeerStream::Send(const v1::PeerMessage& message) {
  Enqueue(message, nullptr);
}

void PeerStream::SendPayload(const v1::PeerMessage& begin,
                             std::shared_ptr<ChunkSource> source) {
  PARLEY_CHECK(begin.has_begin() && source != nullptr);
  Enqueue(begin, std::move(source));
}

void PeerStream::ReceivePayload(std::shared_ptr<PayloadSink> sink) {
  std::shared_ptr<PayloadSink> replaced;  // destroyed without the lock
  {
    MutexLock lock(mu_);
    if (closing_) return;
    // What comes for another sink now, nobody waits for any more.
    if (sink_ != nullptr) receiving_ = Receiving::kPassingOver;
    replaced = std::move(sink_);
    std::swap(next_sink_, sink);
  }
}

void PeerStream::HangUp() {
  {
    MutexLock lock(mu_);
    listener_ = nullptr;
    detached_ = true;
    while (telling_) told_.Wait(mu_);
  }
  Close(absl::OkStatus(), /*flush=*/true);
}

template <typename F>
void PeerStream::Tell(F call) {
  PeerLinkListener* listener;
  {
    MutexLock lock(mu_);
    listener = listener_;
    if (listener == nullptr) return;
    telling_ = true;
  }
  call(listener);
  MutexLock lock(mu_);
  telling_ = false;
  told_.SignalAll();
}

// ---------------------------------------------------------- begin and end

void PeerStream::Open() {
  hello_alarm_.Set(After(hello_timeout_), [weak = weak_from_this()](bool ok) {
    const std::shared_ptr<PeerStream> stream = weak.lock();
    if (!ok || stream == nullptr) return;
    stream->Close(absl::DeadlineExceededError("no hello came"),
                  /*flush=*/false);
  });
  Read(&in_);
}

void PeerStream::Close(const absl::Status& why, bool flush) {
  std::deque<Waiting> queue;  // destroyed without the lock, as are these
  std::shared_ptr<ChunkSource> source;
  std::shared_ptr<PayloadSink> sink, next_sink;
  {
    MutexLock lock(mu_);
    if (!closing_) {
      closing_ = true;
      why_ = why;
      hang_up_alarm_.Set(After(kHangUpTimeout),
                         [weak = weak_from_this()](bool ok) {
                           const auto stream = weak.lock();
                           if (ok && stream != nullptr) stream->Cancel();
                         });
    }
    source = std::move(source_);
    sink = std::move(sink_);
    next_sink = std::move(next_sink_);
    queue.swap(queue_);
    for (Waiting& waiting : queue) {
      // A payload that has not begun never will.
      if (flush && waiting.source == nullptr) {
        queue_.push_back(std::move(waiting));
      }
    }
  }
  Advance();
}

void PeerStream::Break(const absl::Status& why) {
  v1::PeerMessage message;
  message.mutable_goodbye()->set_reason(std::string(why.message()));
  message.mutable_goodbye()->set_retry(true);
  Send(message);
  Close(why, /*flush=*/true);
}

void PeerStream::OnEnded(const absl::Status& status) {
  hello_alarm_.Cancel();
  absl::Status why;
  {
    MutexLock lock(mu_);
    why = why_;
    if (std::exchange(closing_, true)) hang_up_alarm_.Cancel();
  }
  // gRPC knows best why a connection broke.
  if (why.ok() || (absl::IsUnavailable(why) && !status.ok())) why = status;
  if (why.ok()) why = absl::UnavailableError("the peer hung up");
  Tell([&](PeerLinkListener* listener) { listener->OnClosed(why); });
  MutexLock lock(mu_);
  listener_ = nullptr;
}

// ------------------------------------------------------------------ writing

void PeerStream::Enqueue(const v1::PeerMessage& message,
                         std::shared_ptr<ChunkSource> source) {
  Waiting waiting{EncodePeerMessage(message), std::move(source)};
  const size_t size = waiting.bytes.Length();
  bool too_slow = false;
  {
    MutexLock lock(mu_);
    if (closing_ || broken_) return;
    too_slow = queued_bytes_ + size > kMaxQueuedBytes;
    if (!too_slow) {
      queued_bytes_ += size;
      queue_.push_back(std::move(waiting));
    }
  }
  if (!too_slow) return Advance();
  Close(absl::ResourceExhaustedError(
            "the peer reads too slowly: too much waits for it"),
        /*flush=*/false);
}

void PeerStream::Advance(std::optional<bool> written) {
  std::shared_ptr<ChunkSource> source;
  std::deque<Waiting> dropped;
  std::optional<absl::Status> end;
  if (written) {
    out_.Clear();
    if (*written && out_is_chunk_) ++chunks_;
    out_is_chunk_ = false;
  }
  {
    MutexLock lock(mu_);
    if (written) {
      writing_ = false;
      if (!*written) {
        broken_ = true;
        dropped.swap(queue_);
        source = std::exchange(source_, nullptr);
      }
    }
    if (writing_ || ended_) return;
    if (!queue_.empty() &&
        (queue_.front().source == nullptr || source_ == nullptr)) {
      out_ = std::move(queue_.front().bytes);
      if (queue_.front().source != nullptr) {
        source_ = std::move(queue_.front().source);
      }
      queue_.pop_front();
      queued_bytes_ -= out_.Length();
      writing_ = true;
    } else if (source_ != nullptr) {
      source = source_;
      writing_ = true;
    } else if (closing_ || broken_) {
      ended_ = true;
      end = why_;
    } else {
      return;
    }
  }
  // One thread at a time comes here, and none after End.
  if (end) return End(*end);
  if (source != nullptr) {
    if (const std::optional<ChunkView> chunk = source->Next()) {
      out_ = EncodePeerChunk(*chunk, source);
      out_is_chunk_ = true;
    } else {
      v1::PeerMessage message;
      message.mutable_end();
      out_ = EncodePeerMessage(message);
      MutexLock lock(mu_);
      source_.reset();  // or was by Close
    }
  }
  Write(&out_);
}

// ------------------------------------------------------------------ reading

void PeerStream::OnRead(bool ok) {
  if (!ok) {
    return Close(absl::UnavailableError(
                     "the peer hung up, or the connection to it broke"),
                 /*flush=*/false);
  }
  bool closing;
  {
    MutexLock lock(mu_);
    closing = closing_;
  }
  // What still comes then is read, for the peer to get on, and passed over.
  if (!closing) {
    if (const absl::Status status = Take(); !status.ok()) Break(status);
  }
  in_.Clear();
  Read(&in_);
}

absl::Status PeerStream::Take() {
  v1::PeerMessage message;
  std::optional<ReceivedChunk> chunk;
  absl::Status status = DecodePeerMessage(&in_, &message, &chunk);
  if (!status.ok()) return status;
  if (chunk) return TakeChunk(*chunk);
  return TakeMessage(std::move(message));
}

absl::Status PeerStream::TakeMessage(v1::PeerMessage message) {
  if (!std::exchange(greeted_, true)) {
    hello_alarm_.Cancel();
    bool introduced;
    {
      MutexLock lock(mu_);
      introduced = listener_ != nullptr || detached_;
    }
    if (!introduced) {
      if (!message.has_hello()) {
        return absl::InvalidArgumentError("the first message is no hello");
      }
      PeerLinkListener* const listener = Introduce();
      MutexLock lock(mu_);
      if (!detached_) listener_ = listener;
    }
  }
  const v1::PeerMessage::KindCase kind = message.kind_case();
  if (kind == v1::PeerMessage::KIND_NOT_SET) return absl::OkStatus();  // newer
  std::shared_ptr<PayloadSink> begins;
  {
    MutexLock lock(mu_);
    if (kind == v1::PeerMessage::kBegin) {
      if (receiving_ != Receiving::kNothing) {
        return absl::InvalidArgumentError("a payload within another one");
      }
      receiving_ = Receiving::kPayload;
      begins = sink_ = std::move(next_sink_);
    } else if (kind == v1::PeerMessage::kEnd &&
               receiving_ == Receiving::kNothing) {
      return absl::InvalidArgumentError("the end of no payload");
    }
  }
  if (begins != nullptr) begins->Begin(message.begin());
  begins.reset();
  Tell([&](PeerLinkListener* listener) {
    listener->OnMessage(std::move(message));
  });
  if (kind == v1::PeerMessage::kEnd) FinishPayload();
  return absl::OkStatus();
}

absl::Status PeerStream::TakeChunk(const ReceivedChunk& chunk) {
  std::shared_ptr<PayloadSink> sink;
  {
    MutexLock lock(mu_);
    if (receiving_ == Receiving::kNothing) {
      return absl::InvalidArgumentError("a chunk of no payload");
    }
    ++chunks_;
    if (receiving_ == Receiving::kPassingOver) return absl::OkStatus();
    sink = sink_;
  }
  const absl::Status status =
      sink == nullptr ? absl::FailedPreconditionError("nobody waits for it")
                      : sink->Write(chunk.header, chunk.pieces);
  if (!status.ok()) EndPayload(sink, Receiving::kPassingOver, status);
  return absl::OkStatus();
}

void PeerStream::FinishPayload() {
  std::shared_ptr<PayloadSink> sink;
  {
    MutexLock lock(mu_);
    if (receiving_ != Receiving::kPayload) {
      receiving_ = Receiving::kNothing;
      return;
    }
    sink = sink_;
  }
  EndPayload(sink, Receiving::kNothing,
             sink == nullptr
                 ? absl::FailedPreconditionError("nobody waits for it")
                 : sink->Finish());
}

void PeerStream::EndPayload(const std::shared_ptr<PayloadSink>& sink,
                            Receiving next,
                            const absl::StatusOr<uint64_t>& bytes) {
  {
    MutexLock lock(mu_);
    const bool replaced = receiving_ == Receiving::kPassingOver;
    receiving_ = next;
    if (replaced || sink_ != sink) return;
    sink_.reset();
  }
  Tell([&](PeerLinkListener* listener) { listener->OnPayload(bytes); });
}

}  // namespace parley
