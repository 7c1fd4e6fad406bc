// Feeds a machine its events, one after another.
#ifndef PARLEY_SERVER_RUN_STEP_LOOP_H_
#define PARLEY_SERVER_RUN_STEP_LOOP_H_

#include <deque>
#include <utility>

namespace parley {

// An event that comes of another's effects waits until those are all done. Not
// thread-safe.
template <typename Event>
class StepLoop {
 public:
  // `step(Event)` steps the machine and performs what it wants done.
  template <typename Step>
  void Run(Event event, Step step) {
    events_.push_back(std::move(event));
    if (stepping_) return;  // the loop below, of a caller, takes it
    stepping_ = true;
    while (!events_.empty()) {
      Event next = std::move(events_.front());
      events_.pop_front();
      step(std::move(next));
    }
    stepping_ = false;
  }

 private:
  std::deque<Event> events_;
  bool stepping_ = false;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RUN_STEP_LOOP_H_
