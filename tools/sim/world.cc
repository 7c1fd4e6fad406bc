#include "tools/sim/world.h"

#include <algorithm>
#include <chrono>

namespace parley {
namespace {

// Real time.
constexpr std::chrono::milliseconds kPollEvery(100);

}  // namespace

thread_local World::Job* World::current_job_ = nullptr;

World::World(Executor* pool) : pool_(pool) {}

World::~World() {
  // Jobs on the pool hold a pointer to this.
  MutexLock lock(mu_);
  while (finished_.size() < running_.size()) finished_changed_.Wait(mu_);
}

absl::Time World::Now() {
  return current_job_ == nullptr ? now_ : current_job_->start;
}

void World::Spend(absl::Duration d) {
  if (current_job_ != nullptr) current_job_->spent += d;
}

TimerId World::RunAt(absl::Time when, Closure f) {
  TimerId id;
  {
    MutexLock lock(mu_);
    id = next_timer_++;
  }
  if (current_job_ != nullptr) {
    current_job_->posts.push_back({when, id, std::move(f)});
  } else {
    AddEvent(when, id, std::move(f));
  }
  return id;
}

void World::Cancel(TimerId id) {
  if (current_job_ != nullptr) {
    current_job_->cancels.push_back(id);
    return;
  }
  const auto it = timers_.find(id);
  if (it == timers_.end()) return;
  events_.erase(it->second);
  timers_.erase(it);
}

void World::AddEvent(absl::Time when, TimerId id, Closure f) {
  const Key key(std::max(when, now_), next_order_++);
  events_.emplace(key, Event{id, std::move(f)});
  timers_.emplace(id, key);
}

void World::ControlExecutor::Post(Closure f) {
  world_->RunAt(absl::InfinitePast(), std::move(f));
}

void World::WorkExecutor::Post(Closure f) { world_->StartJob(std::move(f)); }

void World::StartJob(Closure f) {
  if (current_job_ != nullptr) {
    // From a job: begins when that one ends.
    RunAt(absl::InfinitePast(),
          [this, f = std::move(f)]() mutable { StartJob(std::move(f)); });
    return;
  }
  auto job = std::make_unique<Job>();
  job->start = now_;
  job->order = next_order_++;
  running_.emplace(now_ + kMinWork, job->order);
  pool_->Post([this, job = std::move(job), f = std::move(f)]() mutable {
    current_job_ = job.get();
    std::move(f)();
    f = nullptr;  // what it holds ends within the job
    current_job_ = nullptr;
    MutexLock lock(mu_);
    const uint64_t order = job->order;
    finished_.emplace(order, std::move(job));
    finished_changed_.SignalAll();
  });
}

absl::Time World::SettleFirstJob() {
  const Key first = *running_.begin();
  std::unique_ptr<Job> job;
  {
    MutexLock lock(mu_);
    while (!finished_.contains(first.second)) finished_changed_.Wait(mu_);
    job = std::move(finished_.extract(first.second).mapped());
  }
  running_.erase(running_.begin());
  const absl::Time end = job->start + std::max(kMinWork, job->spent);
  for (Job::Post& post : job->posts) {
    AddEvent(std::max(post.when, end), post.id, std::move(post.f));
  }
  for (const TimerId id : job->cancels) {
    AddEvent(end, 0, [this, id] { Cancel(id); });
  }
  return end;
}

void World::RunNextEvent() {
  const auto next = events_.begin();
  now_ = next->first.first;
  Event event = std::move(next->second);
  events_.erase(next);
  timers_.erase(event.id);
  std::move(event.f)();
}

bool World::JobIsFirst() const {
  return !running_.empty() &&
         (events_.empty() ||
          running_.begin()->first <= events_.begin()->first.first);
}

void World::AwaitFirstJob() {
  const uint64_t order = running_.begin()->second;
  while (JobIsFirst()) {
    {
      MutexLock lock(mu_);
      const auto until = std::chrono::steady_clock::now() + kPollEvery;
      while (!finished_.contains(order) &&
             finished_changed_.WaitUntil(mu_, until)) {
      }
      if (finished_.contains(order)) return;
    }
    poll_();
  }
}

bool World::Run(absl::FunctionRef<bool()> done) {
  while (!done()) {
    if (poll_) poll_();
    // A job that may end before the next event must be settled first.
    while (JobIsFirst()) {
      if (poll_) AwaitFirstJob();
      if (JobIsFirst()) SettleFirstJob();
    }
    if (events_.empty()) return false;
    RunNextEvent();
  }
  return true;
}

void World::Finish() {
  absl::Time until = now_;
  while (true) {
    while (!running_.empty()) until = std::max(until, SettleFirstJob());
    if (events_.empty() || events_.begin()->first.first > until) return;
    RunNextEvent();
  }
}

}  // namespace parley
