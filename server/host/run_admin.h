// What people and scripts ask of a coordinator: the Admin service stands on it.
#ifndef PARLEY_SERVER_HOST_RUN_ADMIN_H_
#define PARLEY_SERVER_HOST_RUN_ADMIN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "parley/v1/admin.pb.h"
#include "server/run/status_board.h"

namespace parley {

// Thread-safe; no call blocks for long. An empty `run` names one as
// StatusRequest says. NotFound: there is no such run.
class RunAdmin {
 public:
  virtual ~RunAdmin() = default;

  // `on_change` is called with the run's present status soon, then at each
  // change, at most every 100 ms, and with its final status (state FINISHED,
  // STOPPED or FAILED) last. Returns an id, not 0.
  virtual absl::StatusOr<uint64_t> Watch(const std::string& run,
                                         StatusCallback on_change) = 0;
  // After it returns the callback is not running and is not called again.
  virtual void Unwatch(uint64_t id) = 0;

  // The run's name. Nothing happens to one that is over.
  virtual absl::StatusOr<std::string> Stop(const std::string& run,
                                           const std::string& reason) = 0;

  // Calls `done` once, on a thread of its own choice: with SubmitReply.errors
  // where the run file is wrong. FailedPrecondition: there is no queue here.
  // InvalidArgument: the request itself. ResourceExhausted: the queue is full.
  using SubmitDone =
      absl::AnyInvocable<void(absl::StatusOr<v1::SubmitReply>) &&>;
  virtual void Submit(v1::SubmitRequest request, SubmitDone done) = 0;

  // All runs that are queued or go on, and the latest that are over, in the
  // order in which they were submitted.
  virtual std::vector<v1::RunStatus> Runs() = 0;
};

}  // namespace parley

#endif  // PARLEY_SERVER_HOST_RUN_ADMIN_H_
