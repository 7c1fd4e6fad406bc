// A folder for one test.
#ifndef PARLEY_TESTS_UNIT_CLI_TEMP_FOLDER_H_
#define PARLEY_TESTS_UNIT_CLI_TEMP_FOLDER_H_

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "common/base/log.h"
#include "gtest/gtest.h"

namespace parley {

// Removed, with all that is in it, at the end.
class TempFolder {
 public:
  TempFolder() : path_(testing::TempDir() + "/parley.XXXXXX") {
    PARLEY_CHECK(mkdtemp(path_.data()) != nullptr);
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name), std::ios::binary) << text;
    return Path(name);
  }
  // An executable /bin/sh script.
  std::string WriteScript(const std::string& name,
                          const std::string& lines) const {
    const std::string path = Write(name, "#!/bin/sh\n" + lines);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(Path(name), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

 private:
  std::string path_;
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_CLI_TEMP_FOLDER_H_
