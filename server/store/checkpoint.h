// Checkpoints: one file with the model and the optimizer's state after a round.
// SCHEMA.md gives the bytes.
#ifndef PARLEY_SERVER_STORE_CHECKPOINT_H_
#define PARLEY_SERVER_STORE_CHECKPOINT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/files/file_io.h"
#include "common/model/parameters.h"
#include "parley/v1/journal.pb.h"

namespace parley {

inline constexpr uint32_t kCheckpointVersion = 1;
inline constexpr char kModelSection[] = "model";

struct CheckpointSection {
  std::string name;
  const ParameterVector* values;  // borrowed
};

// Replaces the file, which is never seen half-written, without a copy of the
// numbers. `head` without version and sections. Any code of the file system.
absl::Status WriteCheckpoint(const std::string& path, v1::Checkpoint head,
                             absl::Span<const CheckpointSection> sections);

// Thread-compatible.
class CheckpointReader {
 public:
  // Reads and checks the head. InvalidArgument: no checkpoint, of another
  // version, or its sizes do not agree; DataLoss: damaged.
  static absl::StatusOr<std::unique_ptr<CheckpointReader>> Open(
      const std::string& path);

  const v1::Checkpoint& head() const { return head_; }
  const ParameterSpec& spec() const { return spec_; }

  // Reads all sections through. DataLoss: a checksum differs.
  absl::Status Verify() const;

  // Fills `values`, which must be of the spec's dtype and size. NotFound: no
  // section of that name. InvalidArgument: of another size, or with numbers
  // that are not finite. DataLoss: its checksum differs.
  absl::Status Read(absl::string_view section, ParameterVector& values) const;

 private:
  CheckpointReader(std::unique_ptr<FileReader> file, v1::Checkpoint head,
                   ParameterSpec spec, uint64_t begin);

  const std::unique_ptr<FileReader> file_;
  const v1::Checkpoint head_;
  const ParameterSpec spec_;
  const uint64_t begin_;  // of the first section
};

// "checkpoint-00000010".
std::string CheckpointName(int64_t round);

// The checkpoints of a folder, the latest first.
std::vector<std::string> ListCheckpoints(const std::string& folder);

// Removes all but the latest `keep`.
void PruneCheckpoints(const std::string& folder, int keep);

}  // namespace parley

#endif  // PARLEY_SERVER_STORE_CHECKPOINT_H_
