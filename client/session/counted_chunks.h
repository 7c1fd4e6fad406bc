// Counts the chunks of a transfer as they pass, for whoever watches it.
#ifndef PARLEY_CLIENT_SESSION_COUNTED_CHUNKS_H_
#define PARLEY_CLIENT_SESSION_COUNTED_CHUNKS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "common/wire/chunk.h"

namespace parley {

using ChunkCount = std::atomic<uint64_t>;

// Passes on to `to`. Both are borrowed.
class CountedSink final : public ChunkSink {
 public:
  CountedSink(ChunkSink* to, ChunkCount* count) : to_(to), count_(count) {}
  absl::Status Write(const ChunkHeader& header,
                     absl::Span<const absl::string_view> pieces) override {
    ++*count_;
    return to_->Write(header, pieces);
  }
  absl::StatusOr<uint64_t> Finish() override { return to_->Finish(); }

 private:
  ChunkSink* const to_;
  ChunkCount* const count_;
};

// Gives what `from` gives. The count is borrowed.
class CountedSource final : public ChunkSource {
 public:
  CountedSource(std::unique_ptr<ChunkSource> from, ChunkCount* count)
      : from_(std::move(from)), count_(count) {}
  std::optional<ChunkView> Next() override {
    ++*count_;
    return from_->Next();
  }

 private:
  const std::unique_ptr<ChunkSource> from_;
  ChunkCount* const count_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_SESSION_COUNTED_CHUNKS_H_
