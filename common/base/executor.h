// Threads as a seam: all threads of a program come from an Executor.
#ifndef PARLEY_COMMON_BASE_EXECUTOR_H_
#define PARLEY_COMMON_BASE_EXECUTOR_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace parley {

// Thread-safe.
class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `f` soon, on any thread.
  virtual void Post(Closure f) = 0;
  // How many closures can run at once.
  virtual int threads() const = 0;
};

// A fixed number of threads. The destructor runs what was posted before it.
class ThreadPool final : public Executor {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool() override;
  void Post(Closure f) override;
  int threads() const override { return static_cast<int>(threads_.size()); }

 private:
  void Loop();

  Mutex mu_;
  CondVar changed_;
  std::deque<Closure> queue_ GUARDED_BY(mu_);
  bool stop_ GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

// Runs closures one at a time, in the order posted, on an executor's threads.
// The destructor waits until all that was posted has run; destroy it from
// outside its own closures.
class Sequence {
 public:
  explicit Sequence(Executor* executor) : executor_(executor) {}
  ~Sequence();
  void Post(Closure f);

 private:
  void Drain();

  Executor* const executor_;
  Mutex mu_;
  CondVar idle_;
  std::deque<Closure> queue_ GUARDED_BY(mu_);
  bool running_ GUARDED_BY(mu_) = false;
};

// Splits [0, n) into ranges of whole multiples of `grain`, calls f(begin, end)
// for each on the executor's threads and the caller's, and returns when all are
// done. Which thread does what must not matter to the result.
void ParallelFor(Executor* executor, int64_t n, int64_t grain,
                 absl::FunctionRef<void(int64_t begin, int64_t end)> f);

}  // namespace parley

#endif  // PARLEY_COMMON_BASE_EXECUTOR_H_
