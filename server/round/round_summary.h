// What is told of rounds and of the run's end, from what the machine knows.
#ifndef PARLEY_SERVER_ROUND_ROUND_SUMMARY_H_
#define PARLEY_SERVER_ROUND_ROUND_SUMMARY_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/report/round_report.h"
#include "parley/v1/admin.pb.h"
#include "parley/v1/run.pb.h"
#include "server/round/round_events.h"

namespace parley {

// A line of metrics.jsonl. Means are weighted as the clients' updates are.
RoundReport Summarize(const effect::ReportRound& round, double elapsed_seconds);

// status.json: how the run ended.
std::string StatusJson(const v1::RunStatus& status);
// What StatusJson wrote. InvalidArgument where it is something else.
absl::StatusOr<v1::RunStatus> ReadStatusJson(const std::string& text);

// report.html in the run's folder, from metrics.jsonl there. Any code of the
// file system; InvalidArgument: metrics.jsonl is damaged.
absl::Status WriteReport(const v1::RunConfig& config,
                         const v1::RunStatus& status,
                         const std::string& folder);

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_ROUND_SUMMARY_H_
