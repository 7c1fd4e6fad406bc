#include "server/round/transfer_pipe.h"

#include <utility>

#include "common/base/status_macros.h"

namespace parley {
namespace {

absl::Status Unwanted() {
  return absl::AbortedError("the transfer is wanted no more");
}

absl::Status BrokeOff() { return absl::CancelledError("it broke off"); }

}  // namespace

absl::StatusOr<std::unique_ptr<ModelReader>> ModelReader::Create(
    std::shared_ptr<const ParameterVector> model, v1::Encoding encoding,
    uint64_t offset, std::shared_ptr<const TransferFlag> cancelled,
    TransferDone done) {
  PARLEY_ASSIGN_OR_RETURN(auto payload,
                          PayloadSource::Create({{.dtype = model->dtype(),
                                                  .encoding = encoding,
                                                  .elements = model->elements(),
                                                  .data = model->data()}},
                                                offset));
  std::unique_ptr<ModelReader> reader(new ModelReader);
  reader->model_ = std::move(model);
  reader->payload_ = std::move(payload);
  reader->cancelled_ = std::move(cancelled);
  reader->done_ = std::move(done);
  return reader;
}

ModelReader::~ModelReader() {
  payload_.reset();
  model_.reset();  // whoever hears of the end may write to it
  std::move(done_)(all_          ? absl::OkStatus()
                   : *cancelled_ ? Unwanted()
                                 : BrokeOff(),
                   moved_);
}

std::optional<ChunkView> ModelReader::Next() {
  if (*cancelled_) return std::nullopt;
  std::optional<ChunkView> chunk = payload_->Next();
  if (chunk.has_value()) {
    moved_ += chunk->data.size();
  } else {
    all_ = true;
  }
  return chunk;
}

UpdateWriter::~UpdateWriter() { End(error_.ok() ? BrokeOff() : error_); }

absl::Status UpdateWriter::Write(const ChunkHeader& header,
                                 absl::Span<const absl::string_view> pieces) {
  if (*cancelled_) {
    error_ = Unwanted();
  } else {
    for (absl::string_view piece : pieces) moved_ += piece.size();
    error_ = update_->Write(ticket_, header, pieces);
  }
  return error_;
}

absl::StatusOr<uint64_t> UpdateWriter::Finish() {
  const absl::StatusOr<uint64_t> received =
      *cancelled_ ? Unwanted() : update_->Finish(ticket_);
  End(received.status());
  return received;
}

void UpdateWriter::End(const absl::Status& status) {
  if (TransferDone done = std::exchange(done_, nullptr)) {
    std::move(done)(status, moved_);
  }
}

}  // namespace parley
