// The journal: an append-only file of records. SCHEMA.md gives the bytes.
#ifndef PARLEY_SERVER_STORE_JOURNAL_H_
#define PARLEY_SERVER_STORE_JOURNAL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "parley/v1/journal.pb.h"

namespace parley {

inline constexpr uint32_t kJournalVersion = 1;

struct JournalContents {
  std::vector<v1::JournalRecord> records;
  uint64_t whole_bytes = 0;  // up to the end of the last whole record
  uint64_t torn_bytes = 0;   // after it
};

// Changes nothing. NotFound: no such file. InvalidArgument: it is no journal,
// or one of another version.
absl::StatusOr<JournalContents> ReadJournal(const std::string& path);

// Owns the descriptor. Append from one thread, Sync from any.
class Journal {
 public:
  // Makes the file, or opens it and cuts off what is torn. `contents`, which
  // may be null, is set to what stands in it. As ReadJournal, and any code of
  // the file system.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(
      const std::string& path, JournalContents* contents);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Whole in the file when it returns, but perhaps not yet on the disk.
  absl::Status Append(const v1::JournalRecord& record);
  // Waits until all that was appended is on the disk.
  absl::Status Sync();

 private:
  Journal(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  const std::string path_;
  const int fd_;
};

}  // namespace parley

#endif  // PARLEY_SERVER_STORE_JOURNAL_H_
