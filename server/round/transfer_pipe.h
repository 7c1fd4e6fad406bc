// The ends of a transfer that the driver hands to a transport.
#ifndef PARLEY_SERVER_ROUND_TRANSFER_PIPE_H_
#define PARLEY_SERVER_ROUND_TRANSFER_PIPE_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "common/model/parameters.h"
#include "common/wire/chunk.h"
#include "common/wire/payload_source.h"
#include "server/round/staging.h"

namespace parley {

// Shared by the driver and a transfer's end. The driver says by a code other
// than OK that it broke the transfer off; the end looks before each chunk, and
// counts the bytes.
struct TransferState {
  std::atomic<absl::StatusCode> broken_off = absl::StatusCode::kOk;
  std::atomic<uint64_t> moved = 0;
};

// How a transfer ended, and the bytes that it moved.
using TransferDone =
    absl::AnyInvocable<void(const absl::Status& status, uint64_t moved) &&>;

// Gives a model's numbers; keeps them alive, as stable chunks are sent from
// where they lie. InvalidArgument: the offset. `done` is called by the
// destructor, and not at all where Create fails.
class ModelReader final : public ChunkSource {
 public:
  static absl::StatusOr<std::unique_ptr<ModelReader>> Create(
      std::shared_ptr<const ParameterVector> model, v1::Encoding encoding,
      uint64_t offset, std::shared_ptr<TransferState> state, TransferDone done);
  ~ModelReader() override;

  std::optional<ChunkView> Next() override;

 private:
  ModelReader() = default;

  std::shared_ptr<const ParameterVector> model_;
  std::unique_ptr<PayloadSource> payload_;
  std::shared_ptr<TransferState> state_;
  TransferDone done_;
  bool all_ = false;  // was given
};

// Stages an update. `done` is called once: by Finish, else by the destructor.
class UpdateWriter final : public ChunkSink {
 public:
  UpdateWriter(std::shared_ptr<StagedUpdate> update, uint64_t ticket,
               std::shared_ptr<TransferState> state, TransferDone done)
      : update_(std::move(update)),
        ticket_(ticket),
        state_(std::move(state)),
        done_(std::move(done)) {}
  ~UpdateWriter() override;

  absl::Status Write(const ChunkHeader& header,
                     absl::Span<const absl::string_view> pieces) override;
  bool whole() const override { return update_->staged() == update_->bytes(); }
  absl::StatusOr<uint64_t> Finish() override;

 private:
  void End(const absl::Status& status);

  const std::shared_ptr<StagedUpdate> update_;
  const uint64_t ticket_;
  const std::shared_ptr<TransferState> state_;
  TransferDone done_;  // null once called
  absl::Status error_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_TRANSFER_PIPE_H_
