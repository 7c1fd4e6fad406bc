#include "server/round/staging.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/kernels/kernels.h"
#include "common/wire/checksum.h"
#include "common/wire/encoding.h"
#include "common/wire/protocol.h"

namespace parley {
namespace {

constexpr uint64_t kAlignment = 64;

uint64_t Aligned(uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

uint64_t StagedUpdate::RegionBytes(const v1::UpdateReady& header) {
  uint64_t bytes = 0;
  for (const v1::Payload& p : header.payloads()) bytes += Aligned(p.bytes());
  return bytes;
}

StagedUpdate::StagedUpdate(const v1::UpdateReady& header, Region region)
    : header_(header), region_(std::move(region)) {
  uint64_t begin = 0;
  for (const v1::Payload& p : header_.payloads()) {
    begins_.push_back(begin);
    begin += Aligned(p.bytes());
    total_ += p.bytes();
  }
}

uint64_t StagedUpdate::staged() const {
  MutexLock lock(mu_);
  return staged_;
}

absl::StatusOr<uint64_t> StagedUpdate::Begin(uint64_t offset) {
  MutexLock lock(mu_);
  if (offset > staged_) {
    return absl::InvalidArgumentError(
        absl::StrCat("an upload cannot go on at byte ", offset,
                     ": only the first ", staged_, " are here"));
  }
  if (staged_ == total_ && offset < total_) {  // may be in use already
    return absl::InvalidArgumentError("the update is whole");
  }
  staged_ = offset;
  payload_ = 0;
  offset_ = offset;
  while (payload_ < begins_.size() &&
         offset_ >= header_.payloads(payload_).bytes()) {
    offset_ -= header_.payloads(payload_++).bytes();
  }
  return ++ticket_;
}

absl::Status StagedUpdate::Check(const ChunkHeader& chunk,
                                 uint64_t size) const {
  const auto refuse = [](const auto&... what) {
    return absl::InvalidArgumentError(absl::StrCat(what...));
  };
  if (payload_ == begins_.size()) {
    return refuse("a chunk beyond the ", total_, " bytes of the update");
  }
  if (chunk.payload != payload_ || chunk.offset != offset_) {
    return refuse("a chunk of payload ", chunk.payload, " at byte ",
                  chunk.offset, " where payload ", payload_,
                  " goes on at byte ", offset_);
  }
  if (size == 0 || size > static_cast<uint64_t>(kMaxChunkBytes)) {
    return refuse("a chunk of ", size, " bytes: must be 1 to ", kMaxChunkBytes);
  }
  const v1::Payload& p = header_.payloads(payload_);
  if (size > p.bytes() - offset_) {
    return refuse("a chunk of ", size, " bytes at byte ", offset_,
                  " of payload \"", p.name(), "\", which has ", p.bytes());
  }
  if (size % EncodedSize(p.encoding()) != 0) {
    return refuse("a chunk of ", size, " bytes ends within a number");
  }
  return absl::OkStatus();
}

absl::Status StagedUpdate::Write(uint64_t ticket, const ChunkHeader& chunk,
                                 absl::Span<const absl::string_view> pieces) {
  uint64_t size = 0;
  for (absl::string_view piece : pieces) size += piece.size();

  MutexLock lock(mu_);
  if (ticket != ticket_) {
    return absl::AbortedError("another upload of this update took over");
  }
  PARLEY_RETURN_IF_ERROR(Check(chunk, size));
  // What is read here is in the cache; what is written is not read again soon.
  const v1::Payload& p = header_.payloads(payload_);
  FiniteCheck finite(p.encoding());
  ChecksumStream checksum;
  char* to = region_.data() + begins_[payload_] + offset_;
  for (absl::string_view piece : pieces) {
    checksum.Add(piece);
    finite.Add(piece);
    StreamCopyForCpu()(piece.size(), piece.data(), to);
    to += piece.size();
  }
  if (checksum.Value() != chunk.checksum) {
    return absl::DataLossError(
        absl::StrCat("a chunk of payload ", payload_, " at byte ", offset_,
                     " was damaged on its way: its checksum differs"));
  }
  if (!finite.ok()) {
    const int64_t number = EncodedSize(p.encoding());
    return absl::InvalidArgumentError(absl::StrCat(
        "payload \"", p.name(), "\" has a NaN or an infinity among elements ",
        offset_ / number, " to ", (offset_ + size) / number - 1,
        ": the training diverged"));
  }
  // From here on the chunk counts.
  staged_ += size;
  offset_ += size;
  while (payload_ < begins_.size() &&
         offset_ == header_.payloads(payload_).bytes()) {
    ++payload_;
    offset_ = 0;
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> StagedUpdate::Finish(uint64_t ticket) {
  MutexLock lock(mu_);
  if (ticket != ticket_) {
    return absl::AbortedError("another upload of this update took over");
  }
  if (staged_ < total_) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the upload ended after ", staged_, " of ", total_, " bytes"));
  }
  return staged_;
}

absl::Status StagingArea::Open(uint64_t id, const v1::UpdateReady& header) {
  PARLEY_ASSIGN_OR_RETURN(Region region,
                          pool_->Take(StagedUpdate::RegionBytes(header)));
  updates_[id] = std::make_shared<StagedUpdate>(header, std::move(region));
  return absl::OkStatus();
}

std::shared_ptr<StagedUpdate> StagingArea::Find(uint64_t id) const {
  const auto it = updates_.find(id);
  return it == updates_.end() ? nullptr : it->second;
}

}  // namespace parley
