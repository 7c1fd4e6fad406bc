// The rounds of one run as they come, read from its folder.
#ifndef PARLEY_SERVER_HTTP_RUN_FEED_H_
#define PARLEY_SERVER_HTTP_RUN_FEED_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/report/metrics_log.h"
#include "common/report/report_run.h"

namespace parley {

// Reads metrics.jsonl on as it grows, whenever it is asked. Thread-safe; who
// asks waits for whoever asked before, the coordinator for nobody.
class RunFeed {
 public:
  explicit RunFeed(std::string folder);

  // All there is, as ReportJson, and how far that goes. NotFound: the run has
  // not begun. Any code of the file system; InvalidArgument: a file of the
  // folder is damaged.
  absl::StatusOr<std::string> Whole(RunHistory::Seen* seen);
  // What is new since, as an update of page/data.js; empty: nothing.
  absl::StatusOr<std::string> Since(RunHistory::Seen* seen);

  // Bytes [begin, end) of metrics.jsonl: the lines of the rounds after `round`.
  struct Lines {
    std::string path;
    int64_t begin = 0;
    int64_t end = 0;
  };
  absl::StatusOr<Lines> LinesAfter(int64_t round);

  // Of the last round: the seconds of each phase.
  absl::StatusOr<std::vector<std::pair<std::string, double>>> LastSeconds();

 private:
  absl::Status Refresh() REQUIRES(mu_);

  const std::string folder_;
  Mutex mu_;
  ReportRun run_ GUARDED_BY(mu_);
  bool described_ GUARDED_BY(mu_) = false;  // all of run_ but its history
  bool measures_ GUARDED_BY(mu_) = false;   // diagnostics.direction_gap
  MetricsPosition position_ GUARDED_BY(mu_);
  std::vector<std::pair<int64_t, int64_t>> lines_
      GUARDED_BY(mu_);  // round, begin
  std::vector<std::pair<std::string, double>> last_seconds_ GUARDED_BY(mu_);
};

}  // namespace parley

#endif  // PARLEY_SERVER_HTTP_RUN_FEED_H_
