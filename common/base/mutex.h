// A std::mutex that clang's thread-safety analysis understands. Not absl's:
// Debian's is invisible to ThreadSanitizer and has deadlock detection built in.
#ifndef PARLEY_COMMON_BASE_MUTEX_H_
#define PARLEY_COMMON_BASE_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"

// GUARDED_BY is Abseil's: its containers define the short name already.
#if defined(__clang__)
#define PARLEY_TSA(x) __attribute__((x))
#else
#define PARLEY_TSA(x)
#endif

#define REQUIRES(...) PARLEY_TSA(requires_capability(__VA_ARGS__))

namespace parley {

class PARLEY_TSA(capability("mutex")) Mutex {
 public:
  void Lock() PARLEY_TSA(acquire_capability()) { mu_.lock(); }
  void Unlock() PARLEY_TSA(release_capability()) { mu_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mu_;
};

class PARLEY_TSA(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mu) PARLEY_TSA(acquire_capability(mu)) : mu_(mu) {
    mu_.Lock();
  }
  ~MutexLock() PARLEY_TSA(release_capability()) { mu_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mu_;
};

// Waits with the mutex held, as std::condition_variable does; may wake
// spuriously, so call it in a loop over the condition.
class CondVar {
 public:
  void Wait(Mutex& mu) REQUIRES(mu) {
    std::unique_lock<std::mutex> lock(mu.mu_, std::adopt_lock);
    cv_.wait(lock);
    lock.release();
  }
  // Returns false once `deadline` has passed.
  bool WaitUntil(Mutex& mu, std::chrono::steady_clock::time_point deadline)
      REQUIRES(mu) {
    std::unique_lock<std::mutex> lock(mu.mu_, std::adopt_lock);
    const bool in_time =
        cv_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    lock.release();
    return in_time;
  }
  void Signal() { cv_.notify_one(); }
  void SignalAll() { cv_.notify_all(); }

 private:
  std::condition_variable cv_;
};

}  // namespace parley

#endif  // PARLEY_COMMON_BASE_MUTEX_H_
