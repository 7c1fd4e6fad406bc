// Event files, which TensorBoard reads.
//
// A file is records of: length (8 bytes, little-endian), its checksum, the
// bytes of a v1::Event, their checksum. A checksum is a masked CRC-32C, 4 bytes
// little-endian.
#ifndef PARLEY_COMMON_REPORT_EVENT_FILE_H_
#define PARLEY_COMMON_REPORT_EVENT_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace parley {

// CRC-32C (Castagnoli; RFC 3720, B.4).
uint32_t Crc32c(absl::string_view bytes);

// Writes the rounds of `metrics`, a metrics.jsonl, as scalars whose step is the
// round, into a file in `folder`, and returns its path. `started`: when the run
// began. The same run in the same folder replaces its file.
// InvalidArgument: `metrics` is damaged. Any code of the file system.
absl::StatusOr<std::string> WriteEventFile(const std::string& metrics,
                                           absl::Time started,
                                           const std::string& folder);

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_EVENT_FILE_H_
