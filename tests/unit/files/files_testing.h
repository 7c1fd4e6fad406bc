// What the tests of this folder share: paths, bytes, an example.
#ifndef PARLEY_TESTS_UNIT_FILES_FILES_TESTING_H_
#define PARLEY_TESTS_UNIT_FILES_FILES_TESTING_H_

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "common/base/random.h"
#include "common/model/parameters.h"
#include "gtest/gtest.h"

namespace parley {

// A folder of this process, removed at its end.
class TempFolder {
 public:
  TempFolder() : path_(testing::TempDir() + "/parley.XXXXXX") {
    PARLEY_CHECK(mkdtemp(path_.data()) != nullptr);
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A path where nothing lies.
inline std::string NewPath(const std::string& name) {
  static const TempFolder folder;
  const std::string path = folder.path() + "/" + name;
  std::filesystem::remove(path);
  return path;
}

inline std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

inline std::string WriteBytes(const std::string& path,
                              const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

inline ParameterSpec ExampleSpec(DType dtype) {
  auto spec = ParameterSpec::Create(dtype, {{"layer0/weight", {3, 5}},
                                            {"layer0/bias", {5}},
                                            {"empty", {0, 4}},
                                            {"temperature", {}},
                                            {"cube", {2, 3, 4}}});
  PARLEY_CHECK(spec.ok());
  return *std::move(spec);
}

// Different numbers everywhere.
inline ParameterVector ExampleValues(const ParameterSpec& spec) {
  ParameterVector values(spec.dtype(), spec.elements());
  Rng rng(1, "files");
  for (int64_t i = 0; i < spec.elements(); ++i) {
    if (spec.dtype() == DType::kFloat32) {
      values.As<float>()[i] = static_cast<float>(rng.Normal());
    } else {
      values.As<double>()[i] = rng.Normal();
    }
  }
  return values;
}

inline bool SameBytes(const ParameterVector& a, const ParameterVector& b) {
  return a.dtype() == b.dtype() && a.bytes() == b.bytes() &&
         std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_FILES_FILES_TESTING_H_
