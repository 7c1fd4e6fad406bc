// Memory for staged updates: anonymous up to a budget, beyond it unlinked
// files.
#ifndef PARLEY_SERVER_ROUND_REGION_POOL_H_
#define PARLEY_SERVER_ROUND_REGION_POOL_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"

namespace parley {

class RegionPool;

// Some bytes of a pool, page-aligned, of unspecified contents; goes back to the
// pool when destroyed. Movable.
class Region {
 public:
  Region() = default;
  Region(Region&& other) noexcept { *this = std::move(other); }
  Region& operator=(Region&& other) noexcept;
  ~Region();

  char* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }  // at least what was asked for
  bool on_disk() const { return on_disk_; }

 private:
  friend class RegionPool;
  RegionPool* pool_ = nullptr;
  char* data_ = nullptr;
  uint64_t bytes_ = 0;
  bool on_disk_ = false;
};

// Keeps what comes back mapped for the next one of its size, as faulting pages
// in anew costs more than filling them. The files have no name, are mapped like
// memory and never synced. Thread-safe; must outlive its regions.
class RegionPool {
 public:
  struct Options {
    uint64_t memory_bytes = 0;  // limits.staging_bytes
    uint64_t disk_bytes = 0;    // limits.staging_disk_bytes, beyond it
    // Where the files go; empty: no files, and memory for both.
    std::string folder;
  };
  explicit RegionPool(Options options) : options_(std::move(options)) {}
  ~RegionPool();
  RegionPool(const RegionPool&) = delete;
  RegionPool& operator=(const RegionPool&) = delete;

  // ResourceExhausted: both limits are reached, or the disk is full; any code
  // of the file system.
  absl::StatusOr<Region> Take(uint64_t bytes);

  // Mapped now, in use or kept.
  uint64_t memory_bytes() const;
  uint64_t disk_bytes() const;

 private:
  friend class Region;
  struct Mapping {
    char* data;
    uint64_t bytes;
  };
  // One of memory and disk.
  struct Store {
    uint64_t mapped = 0;        // bytes, in use or kept
    std::vector<Mapping> kept;  // the latest last
  };

  void GiveBack(Region& region);
  // A kept mapping of that size; null where there is none.
  static char* Reuse(Store& store, uint64_t bytes);
  // Unmaps kept ones, oldest first, until `bytes` more are within the limit.
  // False where they cannot be.
  static bool MakeRoom(Store& store, uint64_t bytes, uint64_t limit);
  absl::StatusOr<char*> MapFile(uint64_t bytes) const;
  absl::StatusOr<char*> MapMemory(uint64_t bytes) const;

  const Options options_;
  mutable Mutex mu_;
  Store memory_ GUARDED_BY(mu_);
  Store disk_ GUARDED_BY(mu_);
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_REGION_POOL_H_
