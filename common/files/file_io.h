// Files as the formats of this folder need them: read at an offset; written
// beside the old one and put in its place when whole.
#ifndef PARLEY_COMMON_FILES_FILE_IO_H_
#define PARLEY_COMMON_FILES_FILE_IO_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace parley {

// Numbers lie little-endian in both formats, and are read and written as they
// lie in memory.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

// Owns the descriptor. Thread-safe: it has no position.
class FileReader {
 public:
  // Any code of the file system; InvalidArgument where it is no plain file.
  static absl::StatusOr<std::unique_ptr<FileReader>> Open(
      const std::string& path);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // in bytes, when opened

  // Fills out[0, bytes). DataLoss where the file ends before.
  absl::Status Read(uint64_t offset, char* out, uint64_t bytes) const;
  absl::StatusOr<std::string> Read(uint64_t offset, uint64_t bytes) const;

  // InvalidArgument: the file's name, then `what` is wrong with it.
  absl::Status Invalid(absl::string_view what) const;

 private:
  FileReader(std::string path, int fd, uint64_t size);

  const std::string path_;
  const int fd_;
  const uint64_t size_;
};

// Writes "PATH.part" and renames it to PATH at the end, so that nobody sees
// half a file. Removes it when destroyed before Commit. Thread-compatible.
class FileReplacer {
 public:
  static absl::StatusOr<std::unique_ptr<FileReplacer>> Create(
      const std::string& path);
  ~FileReplacer();
  FileReplacer(const FileReplacer&) = delete;
  FileReplacer& operator=(const FileReplacer&) = delete;

  absl::Status Write(absl::string_view bytes);
  uint64_t written() const { return written_; }
  // The last call: syncs to disk and renames.
  absl::Status Commit();

 private:
  FileReplacer(std::string path, int fd);
  std::string Part() const { return path_ + ".part"; }

  const std::string path_;
  const int fd_;
  uint64_t written_ = 0;
  bool committed_ = false;
};

// Writes `text` to the file, whole or not at all.
absl::Status ReplaceFile(const std::string& path, absl::string_view text);

}  // namespace parley

#endif  // PARLEY_COMMON_FILES_FILE_IO_H_
