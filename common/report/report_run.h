// A run as a report shows it, read from its folder.
#ifndef PARLEY_COMMON_REPORT_REPORT_RUN_H_
#define PARLEY_COMMON_REPORT_REPORT_RUN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/partition.h"
#include "common/report/gossip_facts.h"
#include "common/report/run_history.h"
#include "parley/v1/run.pb.h"

namespace parley {

struct ReportRun {
  std::string name;
  std::string state;   // "finished", "stopped", "failed", "running", ...
  std::string reason;  // for it
  int64_t planned_rounds = 0;
  std::string run_file;  // its text
  RunHistory history;
  // What diagnostics.direction_gap knew before the first round, in sentences.
  std::vector<std::string> direction;
  std::optional<GossipFacts> gossip;  // of a gossip run
  // Rows by part and label: at most kMaxLabelCells counts, of the first parts.
  LabelHistogram labels;
  int64_t parts = 0;       // of which labels.counts shows the first
  std::string labels_why;  // why there are none
};

inline constexpr int64_t kMaxLabelCells = 50'000;

// All but the state and the history. Where `config` names data.train, it is
// read for the labels; if it cannot be, labels_why says so.
ReportRun DescribeRun(const v1::RunConfig& config);

// The same with the history from `folder`/metrics.jsonl, which may be missing.
// Errors as ForEachRound.
absl::StatusOr<ReportRun> ReadReportRun(const std::string& folder,
                                        const v1::RunConfig& config);

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_REPORT_RUN_H_
