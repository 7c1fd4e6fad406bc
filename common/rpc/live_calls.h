// Counts calls that still stand on a service, so that it can outlive them.
#ifndef PARLEY_COMMON_RPC_LIVE_CALLS_H_
#define PARLEY_COMMON_RPC_LIVE_CALLS_H_

#include "common/base/mutex.h"

namespace parley {

// Thread-safe. The destructor waits until no Ref is left.
class LiveCalls {
 public:
  LiveCalls() = default;
  ~LiveCalls() {
    MutexLock lock(mu_);
    while (count_ > 0) none_.Wait(mu_);
  }

  class Ref {
   public:
    explicit Ref(LiveCalls* calls) : calls_(calls) {
      MutexLock lock(calls_->mu_);
      ++calls_->count_;
    }
    ~Ref() {
      MutexLock lock(calls_->mu_);
      if (--calls_->count_ == 0) calls_->none_.SignalAll();
    }
    Ref(const Ref&) = delete;
    Ref& operator=(const Ref&) = delete;

    LiveCalls* calls() const { return calls_; }

   private:
    LiveCalls* const calls_;
  };

 private:
  Mutex mu_;
  CondVar none_;
  int count_ GUARDED_BY(mu_) = 0;
};

}  // namespace parley

#endif  // PARLEY_COMMON_RPC_LIVE_CALLS_H_
