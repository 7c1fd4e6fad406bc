// Reads a file from beginning to end, plain or gzip alike.
#ifndef PARLEY_COMMON_DATA_INPUT_FILE_H_
#define PARLEY_COMMON_DATA_INPUT_FILE_H_

#include <zlib.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace parley {

// Open from Open() to destruction. Thread-compatible.
class InputFile {
 public:
  // NotFound or FailedPrecondition: cannot be read, or is no regular file.
  static absl::StatusOr<std::unique_ptr<InputFile>> Open(
      const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  // Reads `n` bytes, fewer only at the end. DataLoss: the gzip data is cut off
  // or damaged, or the disk failed.
  absl::StatusOr<int64_t> Read(char* out, int64_t n);

  // InvalidArgument unless the file holds at least `bytes` when unpacked, which
  // is to be asked before so much memory is taken on the word of a header.
  // Costs a pass over the file only where a gzip file claims to have shrunk
  // more than data usually does. Leaves the read position alone.
  absl::Status CheckHolds(uint64_t bytes) const;

  const std::string& path() const { return path_; }

 private:
  InputFile(std::string path, gzFile file, int64_t size_on_disk);

  const std::string path_;
  const gzFile file_;
  const uint64_t size_on_disk_;
  const bool compressed_;
};

// The lines of a file, numbered from 1, without their ends (LF or CRLF).
// Thread-compatible.
class LineReader {
 public:
  static absl::StatusOr<LineReader> Open(const std::string& path);

  // Goes to the next line; false after the last. InvalidArgument: a line over
  // 256 MiB; otherwise as InputFile::Read.
  absl::StatusOr<bool> Next();
  // Valid until the next call of Next().
  absl::string_view line() const { return line_; }
  int64_t number() const { return number_; }

  // InvalidArgument "path:line: what".
  absl::Status Error(absl::string_view what) const;

 private:
  explicit LineReader(std::unique_ptr<InputFile> file);

  std::unique_ptr<InputFile> file_;
  std::string buffer_;
  size_t position_ = 0;  // of the next line in the buffer
  size_t filled_ = 0;    // bytes of the buffer that hold text
  bool at_end_ = false;  // nothing is left in the file
  absl::string_view line_;
  int64_t number_ = 0;
};

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_INPUT_FILE_H_
