// An executor without threads.
#ifndef PARLEY_TESTS_SUPPORT_INLINE_EXECUTOR_H_
#define PARLEY_TESTS_SUPPORT_INLINE_EXECUTOR_H_

#include <utility>

#include "common/base/executor.h"

namespace parley {

// Runs what is posted within Post. For worlds of virtual time whose closures
// are too short to be worth a thread: it changes no result of theirs.
class InlineExecutor final : public Executor {
 public:
  void Post(Closure f) override { std::move(f)(); }
  int threads() const override { return 1; }
};

}  // namespace parley

#endif  // PARLEY_TESTS_SUPPORT_INLINE_EXECUTOR_H_
