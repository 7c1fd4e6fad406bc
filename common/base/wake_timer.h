// When a machine wants to be woken next.
#ifndef PARLEY_COMMON_BASE_WAKE_TIMER_H_
#define PARLEY_COMMON_BASE_WAKE_TIMER_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"

namespace parley {

// Wakes on a sequence. A wake that comes too early does no harm: one that is
// set stays where a later one is asked for, which spares a change at each step.
//
// Of the sequence, and not to be set any more when that goes.
class WakeTimer {
 public:
  // Borrows the clock and the sequence. `wake` runs on the sequence.
  WakeTimer(Clock* clock, Sequence* home, std::function<void()> wake)
      : clock_(clock), home_(home), wake_(std::move(wake)) {}

  // Wakes at `when` at the latest. InfiniteFuture: needs no wake.
  void SetBy(absl::Time when);
  // One that is on its way already may still come.
  void Cancel();

 private:
  Clock* const clock_;
  Sequence* const home_;
  const std::function<void()> wake_;
  TimerId id_ = 0;  // 0: none is set
  absl::Time at_;
  uint64_t number_ = 0;  // of the one that is set
};

}  // namespace parley

#endif  // PARLEY_COMMON_BASE_WAKE_TIMER_H_
