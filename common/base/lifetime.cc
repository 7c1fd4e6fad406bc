#include "common/base/lifetime.h"

#include "common/base/log.h"

namespace parley {

void Lifetime::Start() {
  MutexLock lock(mu_);
  PARLEY_CHECK(!started_);
  started_ = true;
}

void Lifetime::End() {
  MutexLock lock(mu_);
  ended_ = true;
  ended_changed_.SignalAll();
}

void Lifetime::AwaitEnd(absl::FunctionRef<void()> stop) {
  {
    MutexLock lock(mu_);
    if (!started_ || ended_) return;
  }
  stop();
  MutexLock lock(mu_);
  while (!ended_) ended_changed_.Wait(mu_);
}

}  // namespace parley
