#include "common/base/clock.h"

#include <chrono>
#include <map>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/mutex.h"

namespace parley {
namespace {

class RealClock final : public Clock {
 public:
  RealClock()
      : wall_start_(absl::Now()),
        steady_start_(std::chrono::steady_clock::now()),
        thread_([this] { Loop(); }) {}

  ~RealClock() override {
    {
      MutexLock lock(mu_);
      stop_ = true;
      changed_.SignalAll();
    }
    thread_.join();
  }

  absl::Time Now() override {
    return wall_start_ +
           absl::FromChrono(std::chrono::steady_clock::now() - steady_start_);
  }

  TimerId RunAt(absl::Time when, Closure f) override {
    MutexLock lock(mu_);
    const TimerId id = next_id_++;
    timers_.emplace(std::pair(when, id), std::move(f));
    times_.emplace(id, when);
    changed_.SignalAll();
    return id;
  }

  void Cancel(TimerId id) override {
    MutexLock lock(mu_);
    if (auto it = times_.find(id); it != times_.end()) {
      timers_.erase(std::pair(it->second, id));
      times_.erase(it);
    }
    if (std::this_thread::get_id() == thread_.get_id()) return;
    while (running_ == id) changed_.Wait(mu_);
  }

 private:
  void Loop() {
    mu_.Lock();
    while (!stop_) {
      if (timers_.empty()) {
        changed_.Wait(mu_);
        continue;
      }
      const auto [when, id] = timers_.begin()->first;
      if (when > Now()) {
        // InfiniteFuture and the like would overflow the steady clock.
        const absl::Duration wait = std::min(when - Now(), absl::Hours(1));
        changed_.WaitUntil(mu_, std::chrono::steady_clock::now() +
                                    absl::ToChronoNanoseconds(wait));
        continue;
      }
      Closure f = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
      times_.erase(id);
      running_ = id;
      mu_.Unlock();
      std::move(f)();
      f = nullptr;  // what it holds goes before Cancel returns
      mu_.Lock();
      running_ = 0;
      changed_.SignalAll();
    }
    mu_.Unlock();
  }

  const absl::Time wall_start_;
  const std::chrono::steady_clock::time_point steady_start_;

  Mutex mu_;
  CondVar changed_;
  std::map<std::pair<absl::Time, TimerId>, Closure> timers_ GUARDED_BY(mu_);
  std::map<TimerId, absl::Time> times_ GUARDED_BY(mu_);
  TimerId next_id_ GUARDED_BY(mu_) = 1;
  TimerId running_ GUARDED_BY(mu_) = 0;
  bool stop_ GUARDED_BY(mu_) = false;

  std::thread thread_;  // last: starts once all else is there
};

}  // namespace

std::unique_ptr<Clock> MakeRealClock() { return std::make_unique<RealClock>(); }

}  // namespace parley
