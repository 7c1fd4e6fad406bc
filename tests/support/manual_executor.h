// An executor that runs what is posted when a test says so.
#ifndef PARLEY_TESTS_SUPPORT_MANUAL_EXECUTOR_H_
#define PARLEY_TESTS_SUPPORT_MANUAL_EXECUTOR_H_

#include <deque>
#include <utility>

#include "common/base/executor.h"

namespace parley {

// On the test's thread, in the order posted.
class ManualExecutor final : public Executor {
 public:
  void Post(Closure f) override { queue_.push_back(std::move(f)); }
  int threads() const override { return 1; }
  bool idle() const { return queue_.empty(); }
  // False: there is nothing to run.
  bool RunOne() {
    if (queue_.empty()) return false;
    Closure f = std::move(queue_.front());
    queue_.pop_front();
    std::move(f)();
    return true;
  }
  void RunAll() {
    while (RunOne()) {
    }
  }

 private:
  std::deque<Closure> queue_;
};

}  // namespace parley

#endif  // PARLEY_TESTS_SUPPORT_MANUAL_EXECUTOR_H_
