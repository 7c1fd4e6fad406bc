#include "common/data/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace parley {
namespace {

constexpr int64_t kBlock = 1 << 20;
constexpr size_t kLongestLine = size_t{256} << 20;
// Images and numbers shrink less than this; what claims more is counted.
constexpr uint64_t kUsualRatio = 16;

}  // namespace

absl::StatusOr<std::unique_ptr<InputFile>> InputFile::Open(
    const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    const std::string text = absl::StrCat(path, ": ", std::strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(text)
                           : absl::FailedPreconditionError(text);
  }
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": not a regular file"));
  }
  const gzFile file = gzdopen(fd, "rb");
  if (file == nullptr) {
    close(fd);
    return absl::ResourceExhaustedError(
        absl::StrCat(path, ": no memory to open it"));
  }
  gzbuffer(file, 256 << 10);
  return std::unique_ptr<InputFile>(new InputFile(path, file, info.st_size));
}

InputFile::InputFile(std::string path, gzFile file, int64_t size_on_disk)
    : path_(std::move(path)),
      file_(file),
      size_on_disk_(size_on_disk),
      compressed_(gzdirect(file) == 0) {}

InputFile::~InputFile() { gzclose_r(file_); }

absl::StatusOr<int64_t> InputFile::Read(char* out, int64_t n) {
  int64_t done = 0;
  while (done < n) {
    const int got = gzread(file_, out + done,
                           static_cast<unsigned>(std::min(n - done, kBlock)));
    if (got > 0) {
      done += got;
      continue;
    }
    int code;
    const char* text = gzerror(file_, &code);
    if (code == Z_OK && got == 0) break;
    if (code == Z_BUF_ERROR) text = "the gzip data is cut off";
    if (code == Z_ERRNO) text = std::strerror(errno);
    return absl::DataLossError(absl::StrCat(path_, ": ", text));
  }
  return done;
}

absl::Status InputFile::CheckHolds(uint64_t bytes) const {
  if (compressed_ && bytes <= size_on_disk_ * kUsualRatio) {
    return absl::OkStatus();
  }
  uint64_t held = size_on_disk_;
  if (compressed_) {
    PARLEY_ASSIGN_OR_RETURN(auto again, Open(path_));
    std::vector<char> block(kBlock);
    held = 0;
    while (held < bytes) {
      PARLEY_ASSIGN_OR_RETURN(const int64_t got,
                              again->Read(block.data(), kBlock));
      if (got == 0) break;
      held += got;
    }
  }
  if (held < bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        path_, ": its header promises ", bytes, " bytes, but it holds ", held));
  }
  return absl::OkStatus();
}

absl::StatusOr<LineReader> LineReader::Open(const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(auto file, InputFile::Open(path));
  return LineReader(std::move(file));
}

LineReader::LineReader(std::unique_ptr<InputFile> file)
    : file_(std::move(file)), buffer_(kBlock, '\0') {}

absl::StatusOr<bool> LineReader::Next() {
  size_t searched = position_;
  while (true) {
    const char* const from = buffer_.data() + searched;
    const void* const found = std::memchr(from, '\n', filled_ - searched);
    const bool last = found == nullptr && at_end_;
    if (last && position_ == filled_) return false;
    if (found != nullptr || last) {
      const size_t end =
          last ? filled_ : static_cast<const char*>(found) - buffer_.data();
      line_ = absl::string_view(buffer_.data() + position_, end - position_);
      if (!line_.empty() && line_.back() == '\r') line_.remove_suffix(1);
      position_ = last ? end : end + 1;
      ++number_;
      return true;
    }
    // Keeps the beginning of the line and reads on behind it.
    filled_ -= position_;
    std::memmove(buffer_.data(), buffer_.data() + position_, filled_);
    position_ = 0;
    searched = filled_;
    if (filled_ == buffer_.size()) {
      if (filled_ >= kLongestLine) {
        ++number_;
        return Error("a line of over 256 MiB: not a text file?");
      }
      buffer_.resize(2 * filled_);
    }
    PARLEY_ASSIGN_OR_RETURN(
        const int64_t got,
        file_->Read(buffer_.data() + filled_, buffer_.size() - filled_));
    at_end_ = got < static_cast<int64_t>(buffer_.size() - filled_);
    filled_ += got;
  }
}

absl::Status LineReader::Error(absl::string_view what) const {
  return absl::InvalidArgumentError(
      absl::StrCat(file_->path(), ":", number_, ": ", what));
}

}  // namespace parley
