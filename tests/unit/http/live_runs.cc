#include "tests/unit/http/live_runs.h"

#include <algorithm>
#include <utility>

namespace parley {

void LiveRuns::Tell(const v1::RunStatus& status) {
  auto told = std::make_shared<const v1::RunStatus>(status);
  MutexLock lock(mu_);
  const auto it =
      std::find_if(runs_.begin(), runs_.end(),
                   [&](const auto& run) { return run->run() == told->run(); });
  if (it == runs_.end()) {
    runs_.push_back(std::move(told));
  } else {
    it->swap(told);  // the old one goes once the lock is free
  }
  ++version_;
  changed_.SignalAll();
}

std::vector<v1::RunStatus> LiveRuns::Runs() {
  std::vector<std::shared_ptr<const v1::RunStatus>> runs;
  {
    MutexLock lock(mu_);
    runs = runs_;
  }
  std::vector<v1::RunStatus> copies;
  for (const auto& run : runs) copies.push_back(*run);
  return copies;
}

uint64_t LiveRuns::AwaitChange(uint64_t seen,
                               std::chrono::steady_clock::time_point deadline) {
  MutexLock lock(mu_);
  while (version_ == seen && changed_.WaitUntil(mu_, deadline)) {
  }
  return version_;
}

}  // namespace parley
