#include "client/state/identity.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <random>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace parley {
namespace {

constexpr size_t kMaxName = 128;

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
}

// "myhost-1f3a90c2".
std::string NewName() {
  char host[256] = "";
  if (gethostname(host, sizeof(host) - 1) != 0) host[0] = '\0';
  std::string name = host;
  name.erase(std::remove_if(name.begin(), name.end(),
                            [](char c) { return !IsNameCharacter(c); }),
             name.end());
  if (name.empty()) name = "client";
  return absl::StrCat(
      name.substr(0, 64), "-",
      absl::Hex(static_cast<uint32_t>(NewIncarnation()), absl::kZeroPad8));
}

}  // namespace

absl::Status CheckClientName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxName ||
      !std::all_of(name.begin(), name.end(), IsNameCharacter)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", name.substr(0, kMaxName), "\" is no client name: 1 to ", kMaxName,
        " letters, digits, dots, dashes and underscores"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ClientName(absl::string_view name,
                                       const std::string& folder) {
  if (!name.empty()) {
    PARLEY_RETURN_IF_ERROR(CheckClientName(name));
    return std::string(name);
  }
  if (folder.empty()) return NewName();

  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(),
                               absl::StrCat("cannot make the folder ", folder));
  }
  const std::string path = absl::StrCat(folder, "/name");
  if (std::ifstream file(path); file) {
    std::string kept;
    std::getline(file, kept);
    if (absl::Status status = CheckClientName(kept); !status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": ", status.message()));
    }
    return kept;
  }
  const std::string made = NewName();
  std::ofstream file(path);
  file << made << "\n";
  file.close();
  if (!file) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
  }
  return made;
}

uint64_t NewIncarnation() {
  std::random_device device;
  uint64_t value = 0;
  while (value == 0) value = uint64_t{device()} << 32 | device();
  return value;
}

}  // namespace parley
