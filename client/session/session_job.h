// A task on its way through the session machine.
#ifndef PARLEY_CLIENT_SESSION_SESSION_JOB_H_
#define PARLEY_CLIENT_SESSION_SESSION_JOB_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

enum class JobStage {
  kDownloading,
  kFetched,  // waits for the trainer to be made
  kWorking,
  kAnswered,  // the result is there; the coordinator may not know yet
  kUploading,
  kUploaded,  // waits for the verdict
  kAccepted,  // kept until TaskOver
  kFailed,    // `reason` says why; no numbers are held
};

struct SessionJob {
  uint64_t number;
  v1::TaskId task;
  v1::TaskKind kind;
  int64_t model_version;
  JobStage stage = JobStage::kDownloading;
  int failures = 0;  // of transfers, since one that worked
  absl::Time retry_at = absl::InfiniteFuture();
  v1::UpdateReady result = {};
  std::string reason = {};
  bool open = false;                    // the driver holds numbers of it
  std::optional<double> fraction = {};  // of its work, as last heard
};

}  // namespace parley

#endif  // PARLEY_CLIENT_SESSION_SESSION_JOB_H_
