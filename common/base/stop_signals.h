// Ctrl-C and kill as something that main can wait for.
#ifndef PARLEY_COMMON_BASE_STOP_SIGNALS_H_
#define PARLEY_COMMON_BASE_STOP_SIGNALS_H_

#include <signal.h>

#include "absl/time/time.h"

namespace parley {

// Make it in main before there are threads: it keeps SIGINT and SIGTERM from
// this thread and those that it starts. One in a program.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Returns the signal that came, or 0 after a Wake or when the time is over.
  // For one thread.
  int Wait(absl::Duration timeout = absl::InfiniteDuration());

  // Ends the present Wait, or else the next one. Thread-safe.
  void Wake();

 private:
  sigset_t before_;
  int signal_fd_;
  int wake_fd_;
};

}  // namespace parley

#endif  // PARLEY_COMMON_BASE_STOP_SIGNALS_H_
