#include "client/rpc/transfers.h"

#include <utility>

#include "common/rpc/status.h"

namespace parley {
namespace {

constexpr char kDownload[] = "/parley.v1.Coordinator/Download";
constexpr char kUpload[] = "/parley.v1.Coordinator/Upload";

}  // namespace

// ---------------------------------------------------------------- download

DownloadTransfer::DownloadTransfer(std::shared_ptr<grpc::Channel> channel,
                                   const v1::DownloadRequest& request,
                                   ChunkSink* sink,
                                   CoordinatorTransport::Done done)
    : stub_(std::move(channel)), sink_(sink), done_callback_(std::move(done)) {
  const grpc::Slice slice(request.SerializeAsString());
  request_ = grpc::ByteBuffer(&slice, 1);
  context_.set_initial_metadata_corked(true);  // it goes with the request
  stub_.PrepareBidiStreamingCall(&context_, kDownload, {}, this);
  StartWriteLast(&request_, grpc::WriteOptions());
  StartRead(&buffer_);
  StartCall();
}

DownloadTransfer::~DownloadTransfer() {
  context_.TryCancel();
  MutexLock lock(mu_);
  while (!done_) ended_.Wait(mu_);
}

void DownloadTransfer::OnReadDone(bool ok) {
  if (!ok) return;  // OnDone says why
  sink_status_ = DecodeChunk(&buffer_, &chunk_);
  if (sink_status_.ok()) {
    sink_status_ = sink_->Write(chunk_.header, chunk_.pieces);
  }
  if (!sink_status_.ok()) return context_.TryCancel();
  buffer_.Clear();
  StartRead(&buffer_);
}

void DownloadTransfer::OnDone(const grpc::Status& status) {
  absl::Status result = sink_status_;
  if (result.ok()) result = FromGrpc(status);
  if (result.ok()) result = sink_->Finish().status();
  std::move(done_callback_)(std::move(result));
  MutexLock lock(mu_);
  done_ = true;
  ended_.SignalAll();
}

// ------------------------------------------------------------------ upload

UploadTransfer::UploadTransfer(std::shared_ptr<grpc::Channel> channel,
                               const v1::TransferHeader& header,
                               ChunkSource* source,
                               CoordinatorTransport::Done done)
    : stub_(std::move(channel)),
      context_(std::make_unique<grpc::ClientContext>()),
      header_(header),
      source_(source),
      done_callback_(std::move(done)),
      view_(this, [this](const void*) {
        MutexLock lock(mu_);
        viewed_ = false;
        ended_.SignalAll();
      }) {
  context_->set_initial_metadata_corked(true);  // it goes with the first chunk
  stub_.PrepareBidiStreamingCall(context_.get(), kUpload, {}, this);
  StartRead(&reply_);
  // With nothing to send, the header goes alone.
  next_ = EncodeChunk(&header_, source_->Next().value_or(ChunkView()), view_);
  WriteNext();
  StartCall();
}

UploadTransfer::~UploadTransfer() {
  context_->TryCancel();
  {
    MutexLock lock(mu_);
    while (!done_) ended_.Wait(mu_);
  }
  // A message that was not sent stays with the call, and that with its context.
  context_.reset();
  MutexLock lock(mu_);
  while (viewed_) ended_.Wait(mu_);
}

void UploadTransfer::WriteNext() {
  buffer_ = *std::exchange(next_, std::nullopt);
  if (const std::optional<ChunkView> chunk = source_->Next()) {
    next_ = EncodeChunk(nullptr, *chunk, view_);
    StartWrite(&buffer_);
  } else {
    StartWriteLast(&buffer_, grpc::WriteOptions());
  }
}

void UploadTransfer::OnWriteDone(bool ok) {
  if (ok && next_) WriteNext();  // else OnDone tells the end
}

void UploadTransfer::OnDone(const grpc::Status& status) {
  buffer_.Clear();
  next_.reset();
  std::move(done_callback_)(FromGrpc(status));
  view_.reset();
  MutexLock lock(mu_);
  done_ = true;
  ended_.SignalAll();
}

}  // namespace parley
