#include "server/rpc/bulk_reactors.h"

#include <grpcpp/support/proto_buffer_reader.h>

#include <utility>

#include "common/rpc/status.h"

namespace parley {

// ---------------------------------------------------------------- download

DownloadReactor* DownloadReactor::Open(grpc::CallbackServerContext* context,
                                       Coordinator* coordinator,
                                       LiveCalls* calls,
                                       const grpc::ByteBuffer& request) {
  auto reactor = std::make_shared<DownloadReactor>(context, calls);
  reactor->self_ = reactor;
  v1::DownloadRequest parsed;
  grpc::ByteBuffer bytes(request);
  grpc::ProtoBufferReader reader(&bytes);
  if (parsed.ParseFromZeroCopyStream(&reader)) {
    coordinator->OpenDownload(
        parsed, [reactor](auto source) { reactor->Ready(std::move(source)); },
        [weak = std::weak_ptr(reactor)](const absl::Status& why) {
          if (const auto live = weak.lock()) live->BreakOff(why);
        });
  } else {
    reactor->Ready(absl::InvalidArgumentError("this is no DownloadRequest"));
  }
  return reactor.get();
}

bool DownloadReactor::EndWaiting() {
  MutexLock lock(mu_);
  return std::exchange(waiting_, false);
}

void DownloadReactor::Ready(
    absl::StatusOr<std::unique_ptr<ChunkSource>> source) {
  if (!EndWaiting()) return;
  if (!source.ok()) return End(source.status());
  held_.reset(
      new HeldSource{LiveCalls::Ref(live_->calls()), *std::move(source)});
  WriteNext();
}

void DownloadReactor::WriteNext() {
  const std::optional<ChunkView> chunk = held_->source->Next();
  if (!chunk) return End(absl::OkStatus());
  buffer_ = EncodeChunk(nullptr, *chunk, held_);
  StartWrite(&buffer_);
}

void DownloadReactor::OnWriteDone(bool ok) {
  if (ok) return WriteNext();
  End(absl::CancelledError("the client went away"));
}

void DownloadReactor::BreakOff(const absl::Status& why) {
  {
    MutexLock lock(mu_);
    broken_off_ = why;
  }
  // What is being written may never be read: only cancelling ends that.
  end_.Cancel();
}

void DownloadReactor::End(const absl::Status& status) {
  grpc::Status result;
  {
    MutexLock lock(mu_);
    result = ToGrpc(broken_off_.ok() ? status : broken_off_);
  }
  end_.Finish([this, result] { Finish(result); });
}

void DownloadReactor::OnCancel() {
  // Once chunks are under way, their failing ends the call.
  if (EndWaiting()) End(absl::CancelledError("the client went away"));
}

void DownloadReactor::OnDone() {
  const std::shared_ptr<DownloadReactor> self = std::move(self_);
  buffer_.Clear();
  held_.reset();
  live_.reset();
}

// ------------------------------------------------------------------ upload

UploadReactor* UploadReactor::Open(Coordinator* coordinator, LiveCalls* calls,
                                   grpc::ByteBuffer* response) {
  auto reactor = std::make_shared<UploadReactor>(coordinator, calls, response);
  reactor->self_ = reactor;
  reactor->ReadNext();
  return reactor.get();
}

bool UploadReactor::EndWaiting() {
  MutexLock lock(mu_);
  return std::exchange(waiting_, false);
}

void UploadReactor::Refuse(const absl::Status& why) {
  sink_.reset();
  Finish(ToGrpc(why));
}

void UploadReactor::BreakOff(const absl::Status& why) {
  {
    MutexLock lock(mu_);
    if (!broken_off_.ok()) return;
    broken_off_ = why;
    if (!reading_) return;  // ReadNext sees it
  }
  Refuse(why);
}

void UploadReactor::ReadNext() {
  absl::Status broken_off;
  {
    MutexLock lock(mu_);
    broken_off = broken_off_;
    reading_ = broken_off.ok();
  }
  if (!broken_off.ok()) return Refuse(broken_off);
  StartRead(&buffer_);
}

void UploadReactor::OnReadDone(bool ok) {
  {
    MutexLock lock(mu_);
    reading_ = false;
    if (!broken_off_.ok()) return;  // and finished
  }
  if (!ok) {
    if (sink_ != nullptr && sink_->whole()) return FinishUpload();
    // Either the client sent all it has, or the stream broke; a read does not
    // tell. Sending the (empty) initial metadata succeeds only in the former.
    StartSendInitialMetadata();
    return;
  }
  const bool first = sink_ == nullptr;
  if (absl::Status s = DecodeChunk(&buffer_, &chunk_); !s.ok()) {
    return Refuse(s);
  }
  if (chunk_.transfer.has_value() != first) {
    return Refuse(absl::InvalidArgumentError(
        "the first chunk of an upload has a header, and only the first"));
  }
  if (!first) return Consume();
  {
    MutexLock lock(mu_);
    waiting_ = true;
  }
  coordinator_->OpenUpload(
      *chunk_.transfer,
      [self = self_](auto sink) { self->Ready(std::move(sink)); },
      [weak = std::weak_ptr(self_)](const absl::Status& why) {
        if (const auto live = weak.lock()) live->BreakOff(why);
      });
}

void UploadReactor::Ready(absl::StatusOr<std::unique_ptr<ChunkSink>> sink) {
  if (!EndWaiting()) return;
  if (!sink.ok()) return Refuse(sink.status());
  sink_ = *std::move(sink);
  Consume();
}

void UploadReactor::Consume() {
  // A header may come alone.
  if (!chunk_.pieces.empty() || !chunk_.transfer) {
    if (absl::Status s = sink_->Write(chunk_.header, chunk_.pieces); !s.ok()) {
      return Refuse(s);
    }
  }
  buffer_.Clear();
  ReadNext();
}

void UploadReactor::OnSendInitialMetadataDone(bool ok) {
  if (!ok) return Refuse(absl::CancelledError("the client went away"));
  if (sink_ == nullptr) {
    return Refuse(absl::InvalidArgumentError("an upload without a chunk"));
  }
  FinishUpload();
}

void UploadReactor::FinishUpload() {
  const absl::StatusOr<uint64_t> received = sink_->Finish();
  if (!received.ok()) return Refuse(received.status());
  sink_.reset();
  v1::UploadReply reply;
  reply.set_received(*received);
  const grpc::Slice slice(reply.SerializeAsString());
  *response_ = grpc::ByteBuffer(&slice, 1);
  Finish(grpc::Status::OK);
}

void UploadReactor::OnCancel() {
  // While chunks are read, the reading notices.
  if (EndWaiting()) Finish(grpc::Status::CANCELLED);
}

void UploadReactor::OnDone() {
  const std::shared_ptr<UploadReactor> self = std::move(self_);
  sink_.reset();
  buffer_.Clear();
  live_.reset();
}

}  // namespace parley
