// What a program's main waits for: the end of its work, or a signal.
#ifndef PARLEY_CLIENT_PROGRAM_OUTCOME_H_
#define PARLEY_CLIENT_PROGRAM_OUTCOME_H_

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "common/base/mutex.h"
#include "common/base/stop_signals.h"

namespace parley {

// How long training may take to notice that it is stopped.
inline constexpr absl::Duration kStopPatience = absl::Milliseconds(1000);

// The status that the work ended with, once it has. Thread-safe.
class Outcome {
 public:
  explicit Outcome(StopSignals* signals) : signals_(signals) {}
  void Set(absl::Status status) {
    MutexLock lock(mu_);
    status_ = std::move(status);
    signals_->Wake();
  }
  std::optional<absl::Status> Get() {
    MutexLock lock(mu_);
    return status_;
  }

 private:
  StopSignals* const signals_;
  Mutex mu_;
  std::optional<absl::Status> status_ GUARDED_BY(mu_);
};

}  // namespace parley

#endif  // PARLEY_CLIENT_PROGRAM_OUTCOME_H_
