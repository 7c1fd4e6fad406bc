#include "server/run/work_lane.h"

#include <memory>

namespace parley {

void WorkLane::Run(Closure job, Closure done) {
  waiting_.push_back({std::move(job), std::move(done)});
  if (!busy_) Start();
}

void WorkLane::Start() {
  {
    MutexLock lock(mu_);
    if (closed_) return;
    in_flight_ = true;
  }
  busy_ = true;
  // All that wait go together: the way there and back is paid once.
  work_->Post([this, batch = std::exchange(waiting_, {})]() mutable {
    for (Job& job : batch) std::move(job.job)();
    control_->Post([this, batch = std::move(batch)]() mutable {
      MutexLock lock(mu_);
      if (closed_) {
        batch.clear();  // what it holds goes before Close returns
      } else {
        home_->Post([this, batch = std::move(batch)]() mutable {
          Finish(std::move(batch));
        });
      }
      in_flight_ = false;
      idle_.SignalAll();
    });
  });
}

void WorkLane::Finish(std::vector<Job> batch) {
  busy_ = false;
  for (Job& job : batch) std::move(job.done)();
  if (!busy_ && !waiting_.empty()) Start();
}

void WorkLane::Close() {
  MutexLock lock(mu_);
  closed_ = true;
  while (in_flight_) idle_.Wait(mu_);
}

void SequenceTimer::Set(absl::Time when, Closure f) {
  const uint64_t set = ++set_;
  pending_ = when != absl::InfiniteFuture();
  MutexLock lock(mu_);
  if (id_ != 0) clock_->Cancel(std::exchange(id_, 0));
  if (closed_ || !pending_) return;
  id_ = clock_->RunAt(when, [this, set, f = std::move(f)]() mutable {
    home_->Post([this, set, f = std::move(f)]() mutable {
      if (set != set_) return;  // was replaced meanwhile
      pending_ = false;
      std::move(f)();
    });
  });
}

void SequenceTimer::Close() {
  MutexLock lock(mu_);
  closed_ = true;
  if (id_ != 0) clock_->Cancel(std::exchange(id_, 0));
}

}  // namespace parley
