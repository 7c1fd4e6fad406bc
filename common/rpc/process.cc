#include "common/rpc/process.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>

#include <csignal>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/log.h"
#include "common/base/mutex.h"

namespace parley {
namespace {

// gRPC says the same at each try of a client: once in a while will do.
void LogGrpc(gpr_log_func_args* args) {
  constexpr absl::Duration kPause = absl::Minutes(1);
  static auto* const mu = new Mutex;
  static auto* const last = new std::string;  // guarded by mu
  static absl::Time said;                     // the same
  {
    MutexLock lock(*mu);
    const absl::Time now = absl::Now();
    if (*last == args->message && now - said < kPause) return;
    *last = args->message;
    said = now;
  }
  LogWarning("gRPC: ", args->message);
}

}  // namespace

void TuneProcess() {
  // Memory of receive buffers, of chunks, stays in the process instead of being
  // mapped, faulted in and unmapped again for each of them. What is much larger
  // is mapped: each thread would keep what it has freed. The padding is less
  // than that, or it would be put there.
  mallopt(M_MMAP_THRESHOLD, 8 << 20);
  mallopt(M_TRIM_THRESHOLD, -1);  // never
  mallopt(M_TOP_PAD, 4 << 20);

  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);

  // A thread that wakes does not push aside one that runs: gRPC's wake each
  // other for every piece that comes. Another policy, as of chrt, is kept.
  if (sched_getscheduler(0) == SCHED_OTHER) {
    const sched_param priority = {};
    sched_setscheduler(0, SCHED_BATCH, &priority);
  }

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
  gpr_set_log_function(LogGrpc);
}

}  // namespace parley
