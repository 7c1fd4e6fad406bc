// Long closures one after another on an executor, beside a sequence that
// decides.
#ifndef PARLEY_CLIENT_GOSSIP_LANE_H_
#define PARLEY_CLIENT_GOSSIP_LANE_H_

#include <deque>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "common/base/executor.h"

namespace parley {

// Used on `sequence` alone. Nothing may be under way when it is destroyed.
class Lane {
 public:
  // `control` is what `sequence` runs on.
  Lane(Executor* work, Executor* control, Sequence* sequence)
      : work_(work), control_(control), sequence_(sequence) {}

  // Runs `f` on `work` after what was given before, and then what it returns on
  // the sequence, before what was given after it begins.
  void Run(absl::AnyInvocable<Closure() &&> f) {
    waiting_.push_back(std::move(f));
    Start();
  }
  void Clear() { waiting_.clear(); }
  bool busy() const { return busy_ || !waiting_.empty(); }

 private:
  void Start() {
    if (busy_ || waiting_.empty()) return;
    busy_ = true;
    work_->Post([this, f = std::move(waiting_.front())]() mutable {
      Closure then = std::move(f)();
      f = nullptr;  // what it holds goes here
      // By way of the control executor: what work posts may happen later by
      // the simulator's time, and the sequence must not wait for that.
      control_->Post([this, then = std::move(then)]() mutable {
        sequence_->Post([this, then = std::move(then)]() mutable {
          busy_ = false;
          std::move(then)();
          Start();
        });
      });
    });
    waiting_.pop_front();
  }

  Executor* const work_;
  Executor* const control_;
  Sequence* const sequence_;
  std::deque<absl::AnyInvocable<Closure() &&>> waiting_;
  bool busy_ = false;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_LANE_H_
