// A live source that is told the statuses of runs.
#ifndef PARLEY_TESTS_UNIT_HTTP_LIVE_RUNS_H_
#define PARLEY_TESTS_UNIT_HTTP_LIVE_RUNS_H_

#include <memory>
#include <vector>

#include "common/base/mutex.h"
#include "server/http/live_source.h"

namespace parley {

// Thread-safe.
class LiveRuns final : public LiveSource {
 public:
  // Replaces what was told of the run of that name, or lists it last.
  void Tell(const v1::RunStatus& status);

  std::vector<v1::RunStatus> Runs() override;
  uint64_t AwaitChange(uint64_t seen,
                       std::chrono::steady_clock::time_point deadline) override;

 private:
  Mutex mu_;
  CondVar changed_;
  uint64_t version_ GUARDED_BY(mu_) = 1;
  // Shared with whoever copies them at the moment.
  std::vector<std::shared_ptr<const v1::RunStatus>> runs_ GUARDED_BY(mu_);
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_HTTP_LIVE_RUNS_H_
