#include "server/round/region_pool.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace parley {
namespace {

// Updates of a few numbers share nothing: a page each is the least.
constexpr uint64_t kPage = 4096;

// A file without a name; gone when its last descriptor or mapping is.
absl::StatusOr<int> UnnamedFile(const std::string& folder) {
  int fd = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  // Not every file system has it.
  std::string name = absl::StrCat(folder, "/staging-XXXXXX");
  fd = mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("cannot make a staging file in ", folder));
  }
  unlink(name.c_str());
  return fd;
}

}  // namespace

Region& Region::operator=(Region&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(on_disk_, other.on_disk_);
  return *this;
}

Region::~Region() {
  if (pool_ != nullptr) pool_->GiveBack(*this);
}

RegionPool::~RegionPool() {
  for (Store* store : {&memory_, &disk_}) {
    for (const Mapping& m : store->kept) munmap(m.data, m.bytes);
  }
}

absl::StatusOr<Region> RegionPool::Take(uint64_t bytes) {
  const bool files = !options_.folder.empty();
  if (bytes > (uint64_t{1} << 62)) {
    return absl::ResourceExhaustedError("an update larger than any limit");
  }
  Region region;
  region.bytes_ = (std::max<uint64_t>(bytes, 1) + kPage - 1) / kPage * kPage;
  MutexLock lock(mu_);
  for (bool on_disk : {false, true}) {
    if (on_disk && !files) break;
    Store& store = on_disk ? disk_ : memory_;
    region.on_disk_ = on_disk;
    region.data_ = Reuse(store, region.bytes_);
    if (region.data_ == nullptr) {
      const uint64_t limit = on_disk ? options_.disk_bytes
                             : files
                                 ? options_.memory_bytes
                                 : options_.memory_bytes + options_.disk_bytes;
      if (!MakeRoom(store, region.bytes_, limit)) continue;
      absl::StatusOr<char*> data =
          on_disk ? MapFile(region.bytes_) : MapMemory(region.bytes_);
      if (!data.ok()) return data.status();
      region.data_ = *data;
      store.mapped += region.bytes_;
    }
    region.pool_ = this;
    return region;
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      "no room to stage ", bytes, " more bytes: limits.staging_bytes is ",
      options_.memory_bytes, " and limits.staging_disk_bytes ",
      options_.disk_bytes, ", and ", memory_.mapped + disk_.mapped,
      " are in use"));
}

char* RegionPool::Reuse(Store& store, uint64_t bytes) {
  for (size_t i = store.kept.size(); i-- > 0;) {
    if (store.kept[i].bytes != bytes) continue;
    char* const data = store.kept[i].data;
    store.kept.erase(store.kept.begin() + static_cast<int64_t>(i));
    return data;
  }
  return nullptr;
}

bool RegionPool::MakeRoom(Store& store, uint64_t bytes, uint64_t limit) {
  uint64_t kept = 0;
  for (const Mapping& m : store.kept) kept += m.bytes;
  if (bytes > limit || store.mapped - kept > limit - bytes) return false;
  while (store.mapped > limit - bytes) {
    const Mapping oldest = store.kept.front();
    store.kept.erase(store.kept.begin());
    munmap(oldest.data, oldest.bytes);
    store.mapped -= oldest.bytes;
  }
  return true;
}

absl::StatusOr<char*> RegionPool::MapMemory(uint64_t bytes) const {
  void* const data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory to stage ", bytes, " more bytes"));
  }
  madvise(data, bytes, MADV_HUGEPAGE);  // a hint: fewer page faults
  return static_cast<char*>(data);
}

absl::StatusOr<char*> RegionPool::MapFile(uint64_t bytes) const {
  absl::StatusOr<int> fd = UnnamedFile(options_.folder);
  if (!fd.ok()) return fd.status();
  // Blocks are taken now: a disk that fills up later would raise SIGBUS.
  const int error = posix_fallocate(*fd, 0, static_cast<off_t>(bytes));
  void* const data = error != 0 ? MAP_FAILED
                                : mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                       MAP_SHARED, *fd, 0);
  const int map_error = errno;
  close(*fd);
  if (data == MAP_FAILED) {
    return absl::ErrnoToStatus(
        error != 0 ? error : map_error,
        absl::StrCat("cannot stage ", bytes, " bytes in ", options_.folder));
  }
  return static_cast<char*>(data);
}

void RegionPool::GiveBack(Region& region) {
  MutexLock lock(mu_);
  Store& store = region.on_disk_ ? disk_ : memory_;
  store.kept.push_back({region.data_, region.bytes_});
}

uint64_t RegionPool::memory_bytes() const {
  MutexLock lock(mu_);
  return memory_.mapped;
}

uint64_t RegionPool::disk_bytes() const {
  MutexLock lock(mu_);
  return disk_.mapped;
}

}  // namespace parley
