#include "server/round/transfer_pipe.h"

#include <utility>

#include "common/base/status_macros.h"

namespace parley {
namespace {

// OK, or why the driver broke it off.
absl::Status Wanted(const TransferState& state) {
  const absl::StatusCode code = state.broken_off;
  return {code, code == absl::StatusCode::kDeadlineExceeded
                    ? "no chunk moved for too long"
                    : "the transfer is wanted no more"};
}

// Why a transfer ended before its last byte.
absl::Status BrokeOff(const TransferState& state) {
  absl::Status why = Wanted(state);
  return why.ok() ? absl::CancelledError("it broke off") : why;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelReader>> ModelReader::Create(
    std::shared_ptr<const ParameterVector> model, v1::Encoding encoding,
    uint64_t offset, std::shared_ptr<TransferState> state, TransferDone done) {
  PARLEY_ASSIGN_OR_RETURN(auto payload,
                          PayloadSource::Create({{.dtype = model->dtype(),
                                                  .encoding = encoding,
                                                  .elements = model->elements(),
                                                  .data = model->data()}},
                                                offset));
  std::unique_ptr<ModelReader> reader(new ModelReader);
  reader->model_ = std::move(model);
  reader->payload_ = std::move(payload);
  reader->state_ = std::move(state);
  reader->done_ = std::move(done);
  return reader;
}

ModelReader::~ModelReader() {
  payload_.reset();
  model_.reset();  // whoever hears of the end may write to it
  std::move(done_)(all_ ? absl::OkStatus() : BrokeOff(*state_), state_->moved);
}

std::optional<ChunkView> ModelReader::Next() {
  if (!Wanted(*state_).ok()) return std::nullopt;
  std::optional<ChunkView> chunk = payload_->Next();
  if (chunk.has_value()) {
    state_->moved += chunk->data.size();
  } else {
    all_ = true;
  }
  return chunk;
}

UpdateWriter::~UpdateWriter() { End(error_.ok() ? BrokeOff(*state_) : error_); }

absl::Status UpdateWriter::Write(const ChunkHeader& header,
                                 absl::Span<const absl::string_view> pieces) {
  error_ = Wanted(*state_);
  if (!error_.ok()) return error_;
  for (absl::string_view piece : pieces) state_->moved += piece.size();
  error_ = update_->Write(ticket_, header, pieces);
  return error_;
}

absl::StatusOr<uint64_t> UpdateWriter::Finish() {
  const absl::Status wanted = Wanted(*state_);
  const absl::StatusOr<uint64_t> received =
      wanted.ok() ? update_->Finish(ticket_) : wanted;
  End(received.status());
  return received;
}

void UpdateWriter::End(const absl::Status& status) {
  if (TransferDone done = std::exchange(done_, nullptr)) {
    std::move(done)(status, state_->moved);
  }
}

}  // namespace parley
