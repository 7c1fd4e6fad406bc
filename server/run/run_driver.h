// What a host of runs sees of the one that drives a run.
#ifndef PARLEY_SERVER_RUN_RUN_DRIVER_H_
#define PARLEY_SERVER_RUN_RUN_DRIVER_H_

#include <cstdint>
#include <string>

#include "server/run/coordinator.h"
#include "server/run/status_board.h"

namespace parley {

// Thread-safe.
class RunDriver : public Coordinator {
 public:
  virtual void Start() = 0;
  virtual void Stop(const std::string& reason) = 0;
  // `on_change` is called with the present status at once and then at each
  // change, at most every 100 ms, and with the final status (state FINISHED,
  // STOPPED or FAILED) last. Returns an id.
  virtual uint64_t Watch(StatusCallback on_change) = 0;
  // Whoever watches has somebody new to tell: the next change goes out at once.
  virtual void HurryChange() = 0;
};

}  // namespace parley

#endif  // PARLEY_SERVER_RUN_RUN_DRIVER_H_
