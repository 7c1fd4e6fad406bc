#include "server/store/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/files/file_io.h"
#include "common/wire/checksum.h"

namespace parley {
namespace {

constexpr absl::string_view kMagic = "PRLYJNL1";
constexpr size_t kHead = sizeof(uint32_t) + sizeof(uint64_t);

absl::Status FileError(const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
}

uint64_t RecordChecksum(uint32_t length, absl::string_view body) {
  return Checksum(
      {{reinterpret_cast<const char*>(&length), sizeof(length)}, body});
}

// The record at the beginning of `bytes` and its length in the file; 0 where
// there is no whole one.
size_t ParseRecord(absl::string_view bytes, v1::JournalRecord* record) {
  uint32_t length;
  uint64_t checksum;
  if (bytes.size() < kHead) return 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  std::memcpy(&checksum, bytes.data() + sizeof(length), sizeof(checksum));
  if (length == 0 || length > bytes.size() - kHead) return 0;
  const absl::string_view body = bytes.substr(kHead, length);
  if (RecordChecksum(length, body) != checksum) return 0;
  if (!record->ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return 0;
  }
  return kHead + length;
}

}  // namespace

absl::StatusOr<JournalContents> ReadJournal(const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReader::Open(path));
  PARLEY_ASSIGN_OR_RETURN(const std::string text, file->Read(0, file->size()));
  absl::string_view rest = text;
  JournalContents contents;
  // A file shorter than its magic was torn as it was made.
  if (!absl::StartsWith(rest, kMagic.substr(0, rest.size()))) {
    return file->Invalid("is not a journal of this version of Parley");
  }
  if (rest.size() >= kMagic.size()) {
    rest.remove_prefix(kMagic.size());
    v1::JournalRecord record;
    while (const size_t length = ParseRecord(rest, &record)) {
      contents.records.push_back(std::move(record));
      rest.remove_prefix(length);
    }
    contents.whole_bytes = text.size() - rest.size();
  }
  contents.torn_bytes = text.size() - contents.whole_bytes;
  return contents;
}

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(
    const std::string& path, JournalContents* contents) {
  absl::StatusOr<JournalContents> found = ReadJournal(path);
  if (absl::IsNotFound(found.status())) found = JournalContents();
  PARLEY_RETURN_IF_ERROR(found.status());
  const int fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return FileError(path);
  auto journal = absl::WrapUnique(new Journal(path, fd));
  if (ftruncate(fd, static_cast<off_t>(found->whole_bytes)) != 0) {
    return FileError(path);
  }
  if (found->whole_bytes == 0 && write(fd, kMagic.data(), kMagic.size()) !=
                                     static_cast<ssize_t>(kMagic.size())) {
    return FileError(path);
  }
  if (contents != nullptr) *contents = *std::move(found);
  return journal;
}

Journal::~Journal() { close(fd_); }

absl::Status Journal::Append(const v1::JournalRecord& record) {
  std::string bytes(kHead, '\0');
  record.AppendToString(&bytes);
  const uint32_t length = static_cast<uint32_t>(bytes.size() - kHead);
  const uint64_t checksum =
      RecordChecksum(length, absl::string_view(bytes).substr(kHead));
  std::memcpy(bytes.data(), &length, sizeof(length));
  std::memcpy(bytes.data() + sizeof(length), &checksum, sizeof(checksum));
  // One write. What a full disk leaves of it goes, or later records would stand
  // behind it.
  ssize_t written;
  do {
    written = write(fd_, bytes.data(), bytes.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0) return FileError(path_);
  if (written < static_cast<ssize_t>(bytes.size())) {
    const off_t end = lseek(fd_, 0, SEEK_END);
    if (end < written || ftruncate(fd_, end - written) != 0) {
      return FileError(path_);
    }
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot write ", path_, ": the disk is full"));
  }
  return absl::OkStatus();
}

absl::Status Journal::Sync() {
  return fdatasync(fd_) == 0 ? absl::OkStatus() : FileError(path_);
}

}  // namespace parley
