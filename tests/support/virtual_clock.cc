#include "tests/support/virtual_clock.h"

namespace parley {

TimerId VirtualClock::RunAt(absl::Time when, Closure f) {
  const TimerId id = next_id_++;
  timers_.emplace(std::pair(when, id), std::move(f));
  return id;
}

void VirtualClock::Cancel(TimerId id) {
  for (auto it = timers_.begin(); it != timers_.end(); ++it) {
    if (it->first.second == id) {
      timers_.erase(it);
      return;
    }
  }
}

void VirtualClock::Advance(absl::Duration d) {
  const absl::Time end = now_ + d;
  while (!timers_.empty() && timers_.begin()->first.first <= end) {
    now_ = std::max(now_, timers_.begin()->first.first);
    Closure f = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    std::move(f)();
  }
  now_ = end;
}

}  // namespace parley
