// metrics.jsonl: one JSON object a round, in UTF-8, a line each.
#ifndef PARLEY_COMMON_REPORT_METRICS_LOG_H_
#define PARLEY_COMMON_REPORT_METRICS_LOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/report/round_report.h"

namespace parley {

inline constexpr char kMetricsFile[] = "metrics.jsonl";

// The line of a round, without its newline. Doubles read back as they were;
// NaN and infinities are written as null.
std::string ToJsonLine(const RoundReport& report);

// InvalidArgument where the line is not one that ToJsonLine wrote; keys that
// are not known are passed over.
absl::StatusOr<RoundReport> FromJsonLine(const std::string& line);

// Appends rounds to a file. Owns the descriptor; thread-compatible.
class MetricsLog {
 public:
  // Opens or makes the file. A last line without its newline, left by a crash,
  // is cut off. Any code of the file system.
  static absl::StatusOr<std::unique_ptr<MetricsLog>> Open(
      const std::string& path);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  // Writes the line whole: a reader sees all of it or nothing.
  absl::Status Append(const RoundReport& report);

 private:
  MetricsLog(std::string path, int fd);

  const std::string path_;
  const int fd_;
};

// Hands over all rounds of a file, one by one and in its order. A last line
// that has no newline is still being written and left out. InvalidArgument says
// which line is wrong.
absl::Status ForEachRound(const std::string& path,
                          const std::function<void(RoundReport)>& take);

// How far a file has been read.
struct MetricsPosition {
  int64_t bytes = 0;
  int64_t lines = 0;
};

// As ForEachRound, from `position` on, which is moved behind what was read: for
// a file that grows. `take` is told where the line begins.
absl::Status ForEachNewRound(
    const std::string& path, MetricsPosition* position,
    const std::function<void(RoundReport, int64_t begin)>& take);

// All rounds at once. Errors as ForEachRound.
absl::StatusOr<std::vector<RoundReport>> ReadMetrics(const std::string& path);

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_METRICS_LOG_H_
