// From the start of what runs by itself to its end.
#ifndef PARLEY_COMMON_BASE_LIFETIME_H_
#define PARLEY_COMMON_BASE_LIFETIME_H_

#include "absl/functional/function_ref.h"
#include "common/base/mutex.h"

namespace parley {

// Of an object that is started once, ends by itself, and may be destroyed at
// any time: its destructor waits for the end. Thread-safe.
class Lifetime {
 public:
  // The first and only time.
  void Start();
  // What was started is over.
  void End();
  // Where it was started and is not over, asks it by `stop` to end; returns
  // when it has.
  void AwaitEnd(absl::FunctionRef<void()> stop);

 private:
  Mutex mu_;
  CondVar ended_changed_;
  bool started_ GUARDED_BY(mu_) = false;
  bool ended_ GUARDED_BY(mu_) = false;
};

}  // namespace parley

#endif  // PARLEY_COMMON_BASE_LIFETIME_H_
