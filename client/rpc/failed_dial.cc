#include "client/rpc/failed_dial.h"

#include <chrono>
#include <memory>
#include <utility>

namespace parley {

FailedDial::FailedDial(Closure tell) {
  // Shared, as what an alarm calls has to be copied.
  const auto shared = std::make_shared<Closure>(std::move(tell));
  alarm_.Set(std::chrono::system_clock::now(), [this, shared](bool) {
    std::move (*shared)();
    MutexLock lock(mu_);
    told_ = true;
    told_changed_.SignalAll();
  });
}

FailedDial::~FailedDial() {
  MutexLock lock(mu_);
  while (!told_) told_changed_.Wait(mu_);
}

}  // namespace parley
