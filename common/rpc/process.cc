#include "common/rpc/process.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <malloc.h>
#include <sys/resource.h>

#include <csignal>

#include "absl/synchronization/mutex.h"
#include "common/base/log.h"

namespace parley {

void TuneProcess() {
  // Memory of receive buffers stays in the process instead of being mapped,
  // faulted in and unmapped again for each of them.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, -1);  // never
  mallopt(M_TOP_PAD, 64 << 20);

  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);

  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  std::signal(SIGPIPE, SIG_IGN);

  // Every message that does not parse is reported by us; a peer must not be
  // able to fill the log.
  google::protobuf::SetLogHandler(nullptr);
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  gpr_set_log_function(
      [](gpr_log_func_args* args) { LogWarning("gRPC: ", args->message); });
}

}  // namespace parley
