// The end of a call that other threads may cancel.
#ifndef PARLEY_COMMON_RPC_CALL_END_H_
#define PARLEY_COMMON_RPC_CALL_END_H_

#include <grpcpp/server_context.h>

#include <utility>

#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace parley {

// gRPC frees a call's context some time after its Finish, so the two must not
// overlap: Finish waits, without blocking, for a Cancel under way. Thread-safe.
class CallEnd {
 public:
  explicit CallEnd(grpc::CallbackServerContext* context) : context_(context) {}

  // Reads and writes under way fail from now on. Nothing once finished.
  void Cancel() {
    {
      MutexLock lock(mu_);
      if (finished_ || cancelling_) return;
      cancelling_ = true;
    }
    context_->TryCancel();
    Closure finish;
    {
      MutexLock lock(mu_);
      cancelling_ = false;
      finish = std::move(finish_);
    }
    if (finish) std::move(finish)();
  }

  // Runs `finish`, which calls the reactor's Finish. Once.
  void Finish(Closure finish) {
    {
      MutexLock lock(mu_);
      finished_ = true;
      if (cancelling_) {
        finish_ = std::move(finish);
        return;
      }
    }
    std::move(finish)();
  }

 private:
  grpc::CallbackServerContext* const context_;
  Mutex mu_;
  bool cancelling_ GUARDED_BY(mu_) = false;
  bool finished_ GUARDED_BY(mu_) = false;
  Closure finish_ GUARDED_BY(mu_);  // waits for the Cancel
};

}  // namespace parley

#endif  // PARLEY_COMMON_RPC_CALL_END_H_
