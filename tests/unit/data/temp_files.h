// Files that a test writes into a folder of its own.
#ifndef PARLEY_TESTS_UNIT_DATA_TEMP_FILES_H_
#define PARLEY_TESTS_UNIT_DATA_TEMP_FILES_H_

#include <gtest/gtest.h>
#include <stdlib.h>
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace parley {

// The folder lives as long as the object.
class TempFiles {
 public:
  TempFiles() {
    std::string pattern = testing::TempDir() + "parley_data_XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  ~TempFiles() { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const {
    return folder_ + "/" + name;
  }
  // Both return the path.
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }
  std::string WriteGzip(const std::string& name,
                        const std::string& bytes) const {
    gzFile file = gzopen(Path(name).c_str(), "wb");
    EXPECT_EQ(gzfwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
    EXPECT_EQ(gzclose(file), Z_OK);
    return Path(name);
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(Path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::string folder_;
};

// An IDX header: type unsigned byte, the given dimensions, big-endian.
inline std::string IdxHeader(const std::vector<uint32_t>& dimensions) {
  std::string header{'\0', '\0', '\x08', static_cast<char>(dimensions.size())};
  for (const uint32_t d : dimensions) {
    for (const int shift : {24, 16, 8, 0}) {
      header.push_back(static_cast<char>(d >> shift));
    }
  }
  return header;
}

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_DATA_TEMP_FILES_H_
