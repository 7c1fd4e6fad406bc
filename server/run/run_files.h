// The files that tell people how a run ended.
#ifndef PARLEY_SERVER_RUN_RUN_FILES_H_
#define PARLEY_SERVER_RUN_RUN_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "parley/v1/admin.pb.h"
#include "parley/v1/run.pb.h"

namespace parley {

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

#endif  // PARLEY_SERVER_RUN_RUN_FILES_H_
