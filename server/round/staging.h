// Where updates lie while they arrive and until they are folded in.
#ifndef PARLEY_SERVER_ROUND_STAGING_H_
#define PARLEY_SERVER_ROUND_STAGING_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/mutex.h"
#include "common/wire/chunk.h"
#include "parley/v1/coordinator.pb.h"
#include "server/round/region_pool.h"

namespace parley {

// One update: what its client said of it, and its payloads' bytes as they
// arrive. Thread-safe; one writer at a time, the latest one.
class StagedUpdate {
 public:
  // `header` is checked: its payloads' sizes agree with their specs.
  StagedUpdate(const v1::UpdateReady& header, Region region);

  // The bytes that its payloads take in a region. Each begins at a multiple of
  // 64, where the kernels want it.
  static uint64_t RegionBytes(const v1::UpdateReady& header);

  const v1::UpdateReady& header() const { return header_; }
  // The encoded bytes of a payload. Only once all is staged do they stay.
  const char* payload(int index) const {
    return region_.data() + begins_[index];
  }

  uint64_t bytes() const { return total_; }  // over all payloads
  // Of these, how many are whole and checked.
  uint64_t staged() const;

  // Begins a transfer at byte `offset`, counted over all payloads; what was
  // staged beyond it is forgotten, and an earlier writer gets Aborted. Returns
  // the ticket of its writes. InvalidArgument: `offset` is beyond staged(), or
  // all is staged and `offset` is not the end.
  absl::StatusOr<uint64_t> Begin(uint64_t offset);

  // ChunkSink's Write and Finish, of the writer that holds `ticket`.
  absl::Status Write(uint64_t ticket, const ChunkHeader& header,
                     absl::Span<const absl::string_view> pieces);
  absl::StatusOr<uint64_t> Finish(uint64_t ticket);

 private:
  absl::Status Check(const ChunkHeader& header, uint64_t size) const
      REQUIRES(mu_);

  const v1::UpdateReady header_;
  const Region region_;
  std::vector<uint64_t> begins_;  // of the payloads, in the region
  uint64_t total_ = 0;

  mutable Mutex mu_;  // held while a chunk is copied: writers do not overlap
  uint64_t ticket_ GUARDED_BY(mu_) = 0;
  size_t payload_ GUARDED_BY(mu_) = 0;   // that the next chunk must be of
  uint64_t offset_ GUARDED_BY(mu_) = 0;  // at which it must start
  uint64_t staged_ GUARDED_BY(mu_) = 0;
};

// The updates staged, by id. Shared ownership: a transfer that is no longer
// wanted may still write to an update that was dropped. Thread-compatible; the
// updates themselves are thread-safe, and so is the pool that their memory
// goes back to. The pool must outlive the updates.
class StagingArea {
 public:
  explicit StagingArea(RegionPool* pool) : pool_(pool) {}

  // Makes room. ResourceExhausted: says which limit of the run file is full.
  absl::Status Open(uint64_t id, const v1::UpdateReady& header);
  // Null where there is none.
  std::shared_ptr<StagedUpdate> Find(uint64_t id) const;
  void Drop(uint64_t id) { updates_.erase(id); }
  size_t size() const { return updates_.size(); }

 private:
  RegionPool* const pool_;
  absl::flat_hash_map<uint64_t, std::shared_ptr<StagedUpdate>> updates_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_STAGING_H_
