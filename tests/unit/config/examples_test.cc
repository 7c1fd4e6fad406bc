// All examples load; and no damage to them makes the loader crash.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "common/config/load.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

std::string Read(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Those that are runs; tests/unit/study loads the studies.
std::vector<std::string> Examples() {
  std::vector<std::string> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(PARLEY_EXAMPLES)) {
    const std::string path = entry.path().string();
    if (entry.path().extension() == ".textproto" &&
        Read(path).find("\nrun {") == std::string::npos) {
      paths.push_back(path);
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

TEST(ExamplesTest, AllLoad) {
  EXPECT_GE(Examples().size(), 5u);
  for (const std::string& path : Examples()) {
    const auto config = LoadRunFile(path);
    ASSERT_OK(config);
    EXPECT_EQ(config->name(), std::filesystem::path(path).stem().string());
  }
}

TEST(ExamplesTest, DamagedTextsNeverCrash) {
  constexpr char kBytes[] = "{}[]<>:;,#\"'\\-.0123456789abcxyz\n \t\0\xff";
  int loaded = 0;
  int refused = 0;
  for (const std::string& path : Examples()) {
    const std::string text = Read(path);
    for (int trial = 0; trial < 200; ++trial) {
      Rng rng(1, path, trial, "damage");
      std::string damaged = text;
      for (uint64_t n = 1 + rng.Below(6); n > 0 && !damaged.empty(); --n) {
        const size_t at = rng.Below(damaged.size());
        switch (rng.Below(4)) {
          case 0:
            damaged[at] = kBytes[rng.Below(sizeof kBytes - 1)];
            break;
          case 1:
            damaged.erase(at, rng.Below(20));
            break;
          case 2:
            damaged.insert(at, damaged.substr(rng.Below(damaged.size()), 15));
            break;
          case 3:
            damaged.resize(at);
            break;
        }
      }
      const auto config = LoadRunText(damaged, path);
      if (config.ok()) {
        ++loaded;
        EXPECT_OK(LoadRunText(PrintRun(*config), path));
      } else {
        ++refused;
        EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
        EXPECT_FALSE(config.status().message().empty());
      }
    }
  }
  EXPECT_GT(loaded, 0);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace parley
