#include "server/round/region_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "tests/support/status_matchers.h"

namespace parley {
namespace {

constexpr uint64_t kMiB = 1 << 20;

// Of this process, in bytes.
uint64_t AnonymousMemory() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word == "RssAnon:") {
      uint64_t kib;
      status >> kib;
      return kib * 1024;
    }
  }
  return 0;
}

TEST(RegionPool, AnonymousMemoryStaysWithinTheBudget) {
  RegionPool pool({.memory_bytes = 8 * kMiB,
                   .disk_bytes = 64 * kMiB,
                   .folder = ::testing::TempDir()});
  const uint64_t before = AnonymousMemory();
  std::vector<Region> regions;
  for (int i = 0; i < 16; ++i) {
    ASSERT_OK_AND_ASSIGN(Region region, pool.Take(4 * kMiB));
    EXPECT_EQ(region.on_disk(), i >= 2);
    std::memset(region.data(), i, 4 * kMiB);
    regions.push_back(std::move(region));
  }
  EXPECT_EQ(pool.memory_bytes(), 8 * kMiB);
  EXPECT_EQ(pool.disk_bytes(), 56 * kMiB);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(AnonymousMemory() - before, 10 * kMiB);
#endif
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(regions[i].data()[4 * kMiB - 1], i);
  }
}

TEST(RegionPool, RefusesBeyondBothLimitsAndGoesOnOnceThereIsRoom) {
  RegionPool pool({.memory_bytes = kMiB,
                   .disk_bytes = 2 * kMiB,
                   .folder = ::testing::TempDir()});
  std::vector<Region> regions;
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK_AND_ASSIGN(Region region, pool.Take(kMiB));
    regions.push_back(std::move(region));
  }
  EXPECT_THAT(pool.Take(1).status(),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "limits.staging_disk_bytes 2097152"));
  EXPECT_THAT(pool.Take(~uint64_t{0}).status(),
              StatusIs(absl::StatusCode::kResourceExhausted, ""));
  regions.pop_back();
  EXPECT_OK(pool.Take(kMiB));
}

TEST(RegionPool, ReusesWhatCameBackAndUnmapsItForAnotherSize) {
  RegionPool pool({.memory_bytes = 4 * kMiB, .folder = ""});
  char* data;
  {
    ASSERT_OK_AND_ASSIGN(const Region region, pool.Take(3 * kMiB - 5));
    data = region.data();
  }
  EXPECT_EQ(pool.memory_bytes(), 3 * kMiB);
  {
    ASSERT_OK_AND_ASSIGN(const Region region, pool.Take(3 * kMiB));
    EXPECT_EQ(region.data(), data);
  }
  ASSERT_OK_AND_ASSIGN(const Region other, pool.Take(2 * kMiB));
  EXPECT_EQ(pool.memory_bytes(), 2 * kMiB);
}

TEST(RegionPool, LeavesNoFileBehind) {
  const std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) / "region_pool_files";
  std::filesystem::create_directory(folder);
  RegionPool pool({.disk_bytes = kMiB, .folder = folder});
  ASSERT_OK_AND_ASSIGN(const Region region, pool.Take(kMiB));
  EXPECT_TRUE(region.on_disk());
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(RegionPool, WithoutAFolderMemoryStandsInForTheDisk) {
  RegionPool pool({.memory_bytes = kMiB, .disk_bytes = kMiB, .folder = ""});
  ASSERT_OK_AND_ASSIGN(const Region a, pool.Take(2 * kMiB));
  EXPECT_FALSE(a.on_disk());
  EXPECT_FALSE(pool.Take(1).ok());
}

TEST(RegionPool, SaysWhichFolderCannotBeUsed) {
  RegionPool pool({.disk_bytes = kMiB, .folder = "/nonexistent/folder"});
  EXPECT_THAT(pool.Take(1).status(),
              StatusIs(absl::StatusCode::kNotFound, "/nonexistent/folder"));
}

}  // namespace
}  // namespace parley
