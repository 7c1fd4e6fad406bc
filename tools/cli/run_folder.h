// Folders of runs: where a new one goes, and what an old one says.
#ifndef PARLEY_TOOLS_CLI_RUN_FOLDER_H_
#define PARLEY_TOOLS_CLI_RUN_FOLDER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/json.h"
#include "parley/v1/admin.pb.h"

namespace parley {

inline constexpr char kRunsFolder[] = "runs";
inline constexpr char kServerLog[] = "server.log";

// Makes `folder`. AlreadyExists: there is one, and something in it.
absl::Status MakeEmptyFolder(const std::string& folder);

struct RunSummary {
  std::string folder;
  std::string run;  // its name
  std::vector<std::string> tags;
  // "running", "finished", "stopped", "failed", or "interrupted": its
  // coordinator is gone without a word.
  std::string state;
  std::string reason;          // why it stopped or failed
  int64_t rounds = 0;          // committed
  int64_t planned = 0;         // stop.rounds
  std::optional<double> loss;  // the last ones of central, else federated
  std::optional<double> accuracy;
  double seconds = 0;  // until the last round was committed
  uint64_t bytes_up = 0;
  uint64_t bytes_down = 0;
  absl::Time started;
  uint64_t size = 0;  // of the folder's files, in bytes
};

// NotFound: the folder has no journal. InvalidArgument: a file in it is
// damaged.
absl::StatusOr<RunSummary> ReadRunSummary(const std::string& folder);

// How a run ended, while nobody has taken it up again. NotFound: it has not.
absl::StatusOr<v1::RunStatus> ReadFinalStatus(const std::string& folder);

// True while a coordinator runs in the folder.
bool IsRunning(const std::string& folder);

// The runs below `parent`, by start. Folders that are no runs are passed over;
// NotFound: there is no such folder.
absl::StatusOr<std::vector<RunSummary>> ListRuns(const std::string& parent);

Json ToJson(const RunSummary& run);

// The last `count` lines of a file; empty where there is none.
std::string LastLines(const std::string& path, int count);

}  // namespace parley

#endif  // PARLEY_TOOLS_CLI_RUN_FOLDER_H_
