// What a program's main waits for: the end of its work, or a signal.
#ifndef PARLEY_CLIENT_PROGRAM_OUTCOME_H_
#define PARLEY_CLIENT_PROGRAM_OUTCOME_H_

#include <optional>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "common/base/mutex.h"
#include "common/base/stop_signals.h"

namespace parley {

// The status that the work ended with, once it has. Set is thread-safe; all
// else is for main.
class Outcome {
 public:
  using Ask = absl::FunctionRef<void(const std::string& reason)>;
  // What the signals have made of the work.
  enum class End { kByItself, kLeft, kStopped };

  explicit Outcome(StopSignals* signals) : signals_(signals) {}

  void Set(absl::Status status) {
    MutexLock lock(mu_);
    status_ = std::move(status);
    signals_->Wake();
  }

  // Blocks until the work is over. At the first signal it is asked to `leave`,
  // which says whether that takes a while, as it hands something over; where it
  // does not, or at a second signal, it has a moment, then the process ends,
  // with success: nothing is lost by that. At a second one it is told to `stop`
  // for the same reason, the first signal's name.
  End Wait(absl::FunctionRef<bool(const std::string& reason)> leave, Ask stop);

  // Once the work is over.
  absl::Status status() { return *Get(); }

 private:
  std::optional<absl::Status> Get() {
    MutexLock lock(mu_);
    return status_;
  }
  int WaitForSignal();  // 0: the work is over

  StopSignals* const signals_;
  Mutex mu_;
  std::optional<absl::Status> status_ GUARDED_BY(mu_);
};

}  // namespace parley

#endif  // PARLEY_CLIENT_PROGRAM_OUTCOME_H_
