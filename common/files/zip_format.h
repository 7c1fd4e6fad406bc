// Numbers of the zip format, and little-endian fields; for zip_*.cc only.
#ifndef PARLEY_COMMON_FILES_ZIP_FORMAT_H_
#define PARLEY_COMMON_FILES_ZIP_FORMAT_H_

#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

namespace parley::zip {

// Section 4.3 of the specification: signatures, and lengths without names and
// extra fields.
inline constexpr uint32_t kLocalSignature = 0x04034b50;
inline constexpr uint64_t kLocalBytes = 30;
inline constexpr uint32_t kCentralSignature = 0x02014b50;
inline constexpr uint64_t kCentralBytes = 46;
inline constexpr uint32_t kEndSignature = 0x06054b50;
inline constexpr uint64_t kEndBytes = 22;
inline constexpr uint32_t kEnd64Signature = 0x06064b50;
inline constexpr uint64_t kEnd64Bytes = 56;
inline constexpr uint32_t kLocator64Signature = 0x07064b50;
inline constexpr uint64_t kLocator64Bytes = 20;

inline constexpr uint16_t kStored = 0;
inline constexpr uint16_t kDeflated = 8;
inline constexpr uint16_t kEncrypted = 1;  // flags
inline constexpr uint16_t kUtf8 = 1 << 11;
inline constexpr uint16_t kZip64Extra = 1;
inline constexpr uint16_t kVersion64 = 45;     // 4.5 brought zip64
inline constexpr uint32_t kIn64 = 0xFFFFFFFF;  // the value is in zip64 form

// Reads fields one after another; zeros, and ok() false, beyond the end.
class Fields {
 public:
  explicit Fields(absl::string_view bytes) : rest_(bytes) {}

  uint16_t U16() { return Get<uint16_t>(); }
  uint32_t U32() { return Get<uint32_t>(); }
  uint64_t U64() { return Get<uint64_t>(); }
  absl::string_view Bytes(uint64_t n) {
    if (n > rest_.size()) {
      ok_ = false;
      n = 0;
    }
    const absl::string_view out = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return out;
  }
  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }

 private:
  template <typename T>
  T Get() {
    T value = 0;
    const absl::string_view bytes = Bytes(sizeof(T));
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }

  absl::string_view rest_;
  bool ok_ = true;
};

template <typename T>
void Append(T value, std::string& out) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

}  // namespace parley::zip

#endif  // PARLEY_COMMON_FILES_ZIP_FORMAT_H_
