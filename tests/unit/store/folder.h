// A folder of a test's own, and whole files of it.
#ifndef PARLEY_TESTS_UNIT_STORE_FOLDER_H_
#define PARLEY_TESTS_UNIT_STORE_FOLDER_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace parley {

// Empty, named after the running test.
inline std::string TestFolder() {
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::filesystem::path path =
      std::filesystem::path(::testing::TempDir()) /
      (std::string("parley_") + info->test_suite_name() + "_" + info->name());
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path.string();
}

inline std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void WriteAll(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_STORE_FOLDER_H_
