// Who watches the run, and telling them.
#ifndef PARLEY_SERVER_RUN_STATUS_BOARD_H_
#define PARLEY_SERVER_RUN_STATUS_BOARD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "common/base/mutex.h"
#include "parley/v1/admin.pb.h"

namespace parley {

using StatusCallback = absl::AnyInvocable<void(const v1::RunStatus&)>;

// Add and Remove may come from any thread, Tell and TellAll from one sequence.
class StatusBoard {
 public:
  uint64_t Add(StatusCallback callback);
  // Afterwards the callback is not running, unless this is called from within
  // it, and will not run.
  void Remove(uint64_t id);
  bool empty();

  void Tell(uint64_t id, const v1::RunStatus& status);
  void TellAll(const v1::RunStatus& status);

 private:
  Mutex mu_;
  CondVar told_;
  // Shared: Remove may drop one from within its own call.
  std::map<uint64_t, std::shared_ptr<StatusCallback>> watchers_ GUARDED_BY(mu_);
  uint64_t last_id_ GUARDED_BY(mu_) = 0;
  uint64_t telling_ GUARDED_BY(mu_) = 0;  // whose callback runs; 0: none
  std::thread::id teller_ GUARDED_BY(mu_);
};

}  // namespace parley

#endif  // PARLEY_SERVER_RUN_STATUS_BOARD_H_
