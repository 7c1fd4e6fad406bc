#include "common/base/executor.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace parley {

ThreadPool::ThreadPool(int threads) {
  for (int i = 0; i < std::max(threads, 1); ++i) {
    threads_.emplace_back([this] { Loop(); });
  }
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(mu_);
    stop_ = true;
    changed_.SignalAll();
  }
  for (std::thread& t : threads_) t.join();
}

void ThreadPool::Post(Closure f) {
  MutexLock lock(mu_);
  queue_.push_back(std::move(f));
  changed_.Signal();
}

void ThreadPool::Loop() {
  while (true) {
    Closure f;
    {
      MutexLock lock(mu_);
      while (queue_.empty() && !stop_) changed_.Wait(mu_);
      if (queue_.empty()) return;
      f = std::move(queue_.front());
      queue_.pop_front();
    }
    std::move(f)();
  }
}

Sequence::~Sequence() {
  MutexLock lock(mu_);
  while (running_) idle_.Wait(mu_);
}

void Sequence::Post(Closure f) {
  {
    MutexLock lock(mu_);
    queue_.push_back(std::move(f));
    if (running_) return;
    running_ = true;
  }
  executor_->Post([this] { Drain(); });
}

void Sequence::Drain() {
  while (true) {
    Closure f;
    {
      MutexLock lock(mu_);
      if (queue_.empty()) {
        running_ = false;
        idle_.SignalAll();
        return;
      }
      f = std::move(queue_.front());
      queue_.pop_front();
    }
    std::move(f)();
  }
}

namespace {

// Shared by the caller and its helpers; the helpers may start after the caller
// has left, hence the shared ownership.
struct Loop {
  int64_t n, step, pieces;
  std::atomic<int64_t> next = 0;
  Mutex mu;
  CondVar done;
  int64_t finished GUARDED_BY(mu) = 0;
};

void Work(Loop& loop, absl::FunctionRef<void(int64_t, int64_t)> f) {
  int64_t mine = 0;
  for (int64_t i; (i = loop.next.fetch_add(1)) < loop.pieces; ++mine) {
    f(i * loop.step, std::min(loop.n, (i + 1) * loop.step));
  }
  if (mine == 0) return;
  MutexLock lock(loop.mu);
  loop.finished += mine;
  if (loop.finished == loop.pieces) loop.done.SignalAll();
}

}  // namespace

void ParallelFor(Executor* executor, int64_t n, int64_t grain,
                 absl::FunctionRef<void(int64_t, int64_t)> f) {
  if (n <= 0) return;
  const int64_t grains = (n + grain - 1) / grain;
  const int64_t threads = executor == nullptr ? 1 : executor->threads();
  // A few pieces a thread even out threads of unequal speed.
  const int64_t pieces = std::min(grains, threads == 1 ? 1 : 4 * threads);
  if (pieces == 1) return f(0, n);
  auto loop = std::make_shared<Loop>();
  loop->n = n;
  loop->step = (grains + pieces - 1) / pieces * grain;
  loop->pieces = (n + loop->step - 1) / loop->step;
  for (int64_t i = 1; i < std::min(threads, loop->pieces); ++i) {
    executor->Post([loop, f] { Work(*loop, f); });
  }
  Work(*loop, f);
  MutexLock lock(loop->mu);
  while (loop->finished < loop->pieces) loop->done.Wait(loop->mu);
}

}  // namespace parley
