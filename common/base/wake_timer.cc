#include "common/base/wake_timer.h"

#include <utility>

namespace parley {

void WakeTimer::SetBy(absl::Time when) {
  if (id_ != 0 && at_ <= when) return;
  Cancel();
  if (when == absl::InfiniteFuture()) return;
  at_ = when;
  const uint64_t number = ++number_;
  id_ = clock_->RunAt(when, [this, number] {
    home_->Post([this, number] {
      if (number == number_) id_ = 0;
      wake_();
    });
  });
}

void WakeTimer::Cancel() {
  if (id_ != 0) clock_->Cancel(std::exchange(id_, 0));
}

}  // namespace parley
