// Virtual time: a clock and two executors that run a whole federation in one
// process, deterministically and on all cores.
#ifndef PARLEY_TOOLS_SIM_WORLD_H_
#define PARLEY_TOOLS_SIM_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/mutex.h"

namespace parley {

// Events are closures at points of virtual time; the thread that calls Run
// takes them in order of (time, order of posting). What is posted to work()
// runs on real threads meanwhile: it takes kMinWork of virtual time or what it
// says by Spend, and whatever it posts or sets a timer for happens at its end.
// So the order of all events is a function of the closures alone, not of the
// real threads.
class World final : public Clock {
 public:
  // The least virtual time that a closure on work() takes.
  static constexpr absl::Duration kMinWork = absl::Milliseconds(1);

  // `pool` does the work; it must outlive the world.
  explicit World(Executor* pool);
  ~World() override;

  absl::Time Now() override;
  TimerId RunAt(absl::Time when, Closure f) override;
  void Cancel(TimerId id) override;

  // For control: closures run on the thread of Run, one at a time.
  Executor* control() { return &control_; }
  // For heavy work: closures run on the pool, several at once. They must touch
  // nothing that control closures touch, but by posting.
  Executor* work() { return &work_; }

  // Within a closure on work(): it takes `d` more of virtual time. Elsewhere
  // it does nothing.
  void Spend(absl::Duration d);

  // `poll` is called by the thread of Run before each event, and every 100 ms
  // of real time while that waits for work. What it posts happens at once.
  void set_poll(std::function<void()> poll) { poll_ = std::move(poll); }

  // Runs events until `done` returns true, asked after each event. False when
  // no event is left before that: the federation is stuck.
  bool Run(absl::FunctionRef<bool()> done);

  // Ends what is under way, so that all may be destroyed: jobs and what they
  // post, and events that are due. Timers of later are left.
  void Finish();

 private:
  using Key = std::pair<absl::Time, uint64_t>;  // virtual time, order

  struct Event {
    TimerId id;
    Closure f;
  };

  // A closure on work(), from its posting to its end. What it posts waits here.
  struct Job {
    struct Post {
      absl::Time when;
      TimerId id;
      Closure f;
    };
    absl::Time start;
    uint64_t order;
    absl::Duration spent;
    std::vector<Post> posts;
    std::vector<TimerId> cancels;
  };

  class ControlExecutor final : public Executor {
   public:
    explicit ControlExecutor(World* world) : world_(world) {}
    void Post(Closure f) override;
    int threads() const override { return 1; }

   private:
    World* const world_;
  };
  class WorkExecutor final : public Executor {
   public:
    explicit WorkExecutor(World* world) : world_(world) {}
    void Post(Closure f) override;
    int threads() const override { return world_->pool_->threads(); }

   private:
    World* const world_;
  };

  void AddEvent(absl::Time when, TimerId id, Closure f);
  void StartJob(Closure f);
  void RunNextEvent();
  // Whether a job may end before the next event.
  bool JobIsFirst() const;
  // Returns once the job that may end first has ended, or is not first any
  // more.
  void AwaitFirstJob();
  // Waits for the job that may end first and takes in what it posted. Returns
  // when it ended.
  absl::Time SettleFirstJob();

  // The job whose closure the calling thread is in, if any.
  static thread_local Job* current_job_;

  Executor* const pool_;
  ControlExecutor control_{this};
  WorkExecutor work_{this};

  // Of the thread that runs the world.
  std::function<void()> poll_;
  absl::Time now_ = absl::UnixEpoch();
  uint64_t next_order_ = 1;
  std::map<Key, Event> events_;
  absl::flat_hash_map<TimerId, Key> timers_;
  std::set<Key> running_;  // by earliest end: jobs not yet settled

  Mutex mu_;
  CondVar finished_changed_;
  TimerId next_timer_ GUARDED_BY(mu_) = 1;
  std::map<uint64_t, std::unique_ptr<Job>> finished_ GUARDED_BY(mu_);
};

}  // namespace parley

#endif  // PARLEY_TOOLS_SIM_WORLD_H_
