// The part of the zip format (APPNOTE 6.3) that .npz files need: members stored
// or deflated, zip64, no encryption, one volume.
#ifndef PARLEY_COMMON_FILES_ZIP_H_
#define PARLEY_COMMON_FILES_ZIP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/files/file_io.h"

namespace parley {

struct ZipMember {
  std::string name;
  bool deflated = false;
  uint32_t crc = 0;
  uint64_t packed = 0;  // bytes in the file
  uint64_t size = 0;    // bytes unpacked
  uint64_t header = 0;  // where its local header begins
  uint64_t data = 0;    // where its bytes begin
};

// Checks when opened that the members lie within the file, apart from each
// other, that no name is there twice, and that no size is beyond what deflate
// can pack. Thread-safe.
class ZipReader {
 public:
  static absl::StatusOr<std::unique_ptr<ZipReader>> Open(
      const std::string& path);

  const std::vector<ZipMember>& members() const { return members_; }
  const FileReader& file() const { return *file_; }

 private:
  explicit ZipReader(std::unique_ptr<FileReader> file)
      : file_(std::move(file)) {}
  absl::Status ReadDirectory();
  absl::Status AddMembers(absl::string_view directory, uint64_t count);
  absl::Status CheckPlaces(uint64_t limit);

  const std::unique_ptr<FileReader> file_;
  std::vector<ZipMember> members_;
};

// Unpacks one member from its beginning on. Thread-compatible; the reader must
// outlive it.
class ZipStream {
 public:
  ZipStream(const ZipReader& zip, size_t member);
  ~ZipStream();
  ZipStream(const ZipStream&) = delete;
  ZipStream& operator=(const ZipStream&) = delete;

  // Fills out[0, bytes). DataLoss: the member is damaged or ends before; the
  // last byte is given out only where the checksum is right.
  absl::Status Read(char* out, uint64_t bytes);

 private:
  struct Inflater;
  absl::Status Damaged() const;
  absl::Status Inflate(char* out, uint64_t bytes);

  const FileReader& file_;
  const ZipMember& member_;
  uint64_t packed_read_ = 0;
  uint64_t given_ = 0;
  uint32_t crc_ = 0;
  std::unique_ptr<Inflater> inflater_;
};

// Writes members one after another, stored, with the date 1980-01-01, so that
// equal contents give equal files. Thread-compatible.
class ZipWriter {
 public:
  // `file` is borrowed. Sizes and offsets from `zip64_from` on are written in
  // zip64 form; a test may lower it.
  explicit ZipWriter(FileReplacer* file, uint64_t zip64_from = 0xFFFFFFFF)
      : file_(file), zip64_from_(zip64_from) {}

  // The member's bytes are `pieces`, one after another.
  absl::Status Add(absl::string_view name,
                   absl::Span<const absl::string_view> pieces);
  // Writes the directory. The last call.
  absl::Status Finish();

 private:
  FileReplacer* const file_;
  const uint64_t zip64_from_;
  std::vector<ZipMember> members_;
};

}  // namespace parley

#endif  // PARLEY_COMMON_FILES_ZIP_H_
