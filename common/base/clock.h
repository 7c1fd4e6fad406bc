// Time as a seam: what reads the clock or sets a timer takes a Clock, so that
// tests and the simulator can run it in virtual time.
#ifndef PARLEY_COMMON_BASE_CLOCK_H_
#define PARLEY_COMMON_BASE_CLOCK_H_

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace parley {

using Closure = absl::AnyInvocable<void() &&>;
using TimerId = uint64_t;  // never 0

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // Monotonic within a process; comparable with other readings only.
  virtual absl::Time Now() = 0;

  // Runs `f` at `when`, at once where that has passed, on a thread of the
  // clock's choice: `f` must not block.
  virtual TimerId RunAt(absl::Time when, Closure f) = 0;

  // After it returns, the timer's closure is not running and will not run,
  // unless Cancel was called from within that closure. Unknown ids are ignored.
  virtual void Cancel(TimerId id) = 0;
};

// The machine's steady clock, with one timer thread, which its destructor
// joins; timers still set then never run.
std::unique_ptr<Clock> MakeRealClock();

}  // namespace parley

#endif  // PARLEY_COMMON_BASE_CLOCK_H_
