// A Clock whose time moves only when a test says so.
#ifndef PARLEY_TESTS_SUPPORT_VIRTUAL_CLOCK_H_
#define PARLEY_TESTS_SUPPORT_VIRTUAL_CLOCK_H_

#include <map>
#include <utility>

#include "common/base/clock.h"

namespace parley {

// Not thread-safe: timers run on the thread that calls Advance.
class VirtualClock final : public Clock {
 public:
  absl::Time Now() override { return now_; }
  TimerId RunAt(absl::Time when, Closure f) override;
  void Cancel(TimerId id) override;

  // Moves time on by `d`, running the timers on the way, each at its time.
  void Advance(absl::Duration d);
  size_t timers() const { return timers_.size(); }

 private:
  absl::Time now_ = absl::UnixEpoch();
  TimerId next_id_ = 1;
  std::map<std::pair<absl::Time, TimerId>, Closure> timers_;
};

}  // namespace parley

#endif  // PARLEY_TESTS_SUPPORT_VIRTUAL_CLOCK_H_
