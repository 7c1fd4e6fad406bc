// How the driver's sequence has heavy work done elsewhere.
#ifndef PARLEY_SERVER_RUN_WORK_LANE_H_
#define PARLEY_SERVER_RUN_WORK_LANE_H_

#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/mutex.h"

namespace parley {

// Runs jobs one after another on an executor, off the sequence, and what each
// has to tell afterwards on the sequence. Run is called on the sequence only.
//
// Jobs start, and results come back, through the executors alone, so that in
// virtual time the order of events is the same in each run.
class WorkLane {
 public:
  // `home` is the sequence and runs on `control`; `work` runs the jobs.
  WorkLane(Sequence* home, Executor* control, Executor* work)
      : home_(home), control_(control), work_(work) {}
  ~WorkLane() { Close(); }

  // `job` on the executor, after the jobs before it; then `done` at home, after
  // what those had to tell. Jobs do not wait for that: a job may begin before
  // the `done` of one before it has run, and must not depend on it.
  void Run(Closure job, Closure done);

  // Waits for the jobs under way; the others, and what they would have told,
  // are dropped. Thread-safe. Afterwards the lane does not touch `home`; what
  // it has posted there may still run, so `home` ends before the lane does.
  void Close();

 private:
  struct Job {
    Closure job, done;
  };
  void Start();
  void Finish(std::vector<Job> batch);

  Sequence* const home_;
  Executor* const control_;
  Executor* const work_;
  // On the sequence only.
  std::vector<Job> waiting_;
  bool busy_ = false;

  Mutex mu_;
  CondVar idle_;
  bool closed_ GUARDED_BY(mu_) = false;
  bool in_flight_ GUARDED_BY(mu_) = false;
};

// One timer at a time, whose closure runs on a sequence. Set and Cancel are
// called on the sequence only.
class SequenceTimer {
 public:
  SequenceTimer(Clock* clock, Sequence* home) : clock_(clock), home_(home) {}
  ~SequenceTimer() { Close(); }

  // Replaces what was set before. InfiniteFuture: never.
  void Set(absl::Time when, Closure f);
  void Cancel() { Set(absl::InfiniteFuture(), nullptr); }
  bool pending() const { return pending_; }

  // Thread-safe. Afterwards nothing is set, and `home` is not touched.
  void Close();

 private:
  Clock* const clock_;
  Sequence* const home_;
  uint64_t set_ = 0;  // so many times
  bool pending_ = false;

  Mutex mu_;
  bool closed_ GUARDED_BY(mu_) = false;
  TimerId id_ GUARDED_BY(mu_) = 0;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RUN_WORK_LANE_H_
