#include "common/files/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace parley {
namespace {

absl::Status FileError(const char* what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileReader>> FileReader::Open(
    const std::string& path) {
  // Not to wait for the other end of a pipe.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return FileError("read", path);
  struct stat info;
  if (fstat(fd, &info) != 0) {
    const absl::Status status = FileError("read", path);
    close(fd);
    return status;
  }
  auto reader = absl::WrapUnique(new FileReader(path, fd, info.st_size));
  if (!S_ISREG(info.st_mode)) return reader->Invalid("is not a file");
  return reader;
}

FileReader::FileReader(std::string path, int fd, uint64_t size)
    : path_(std::move(path)), fd_(fd), size_(size) {}

FileReader::~FileReader() { close(fd_); }

absl::Status FileReader::Read(uint64_t offset, char* out,
                              uint64_t bytes) const {
  while (bytes > 0) {
    const ssize_t got = pread(fd_, out, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileError("read", path_);
    if (got == 0) {
      return absl::DataLossError(absl::StrCat(path_, " is cut short"));
    }
    out += got;
    offset += got;
    bytes -= got;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> FileReader::Read(uint64_t offset,
                                             uint64_t bytes) const {
  std::string out(bytes, '\0');
  PARLEY_RETURN_IF_ERROR(Read(offset, out.data(), bytes));
  return out;
}

absl::Status FileReader::Invalid(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(path_, ": ", what));
}

absl::StatusOr<std::unique_ptr<FileReplacer>> FileReplacer::Create(
    const std::string& path) {
  const int fd = open((path + ".part").c_str(),
                      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return FileError("write", path);
  return absl::WrapUnique(new FileReplacer(path, fd));
}

FileReplacer::FileReplacer(std::string path, int fd)
    : path_(std::move(path)), fd_(fd) {}

FileReplacer::~FileReplacer() {
  close(fd_);
  if (!committed_) unlink(Part().c_str());
}

absl::Status FileReplacer::Write(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError("write", path_);
    bytes.remove_prefix(written);
    written_ += written;
  }
  return absl::OkStatus();
}

absl::Status FileReplacer::Commit() {
  if (fsync(fd_) != 0) return FileError("write", path_);
  if (rename(Part().c_str(), path_.c_str()) != 0) {
    return FileError("write", path_);
  }
  committed_ = true;
  return absl::OkStatus();
}

absl::Status ReplaceFile(const std::string& path, absl::string_view text) {
  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReplacer::Create(path));
  PARLEY_RETURN_IF_ERROR(file->Write(text));
  return file->Commit();
}

}  // namespace parley
