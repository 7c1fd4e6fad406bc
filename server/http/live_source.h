// What the live view shows: the runs of this coordinator.
#ifndef PARLEY_SERVER_HTTP_LIVE_SOURCE_H_
#define PARLEY_SERVER_HTTP_LIVE_SOURCE_H_

#include <chrono>
#include <cstdint>
#include <vector>

#include "parley/v1/admin.pb.h"

namespace parley {

// Thread-safe. Neither call waits for a round, nor makes one wait.
class LiveSource {
 public:
  virtual ~LiveSource() = default;

  // The runs as they are now, in the order to list them, each under a name of
  // its own. What is in their folders is shown too.
  virtual std::vector<v1::RunStatus> Runs() = 0;

  // Returns once Runs() is not what it was when this returned `seen`, at the
  // deadline at the latest, with what to pass next time. 0: at once.
  virtual uint64_t AwaitChange(
      uint64_t seen, std::chrono::steady_clock::time_point deadline) = 0;
};

}  // namespace parley

#endif  // PARLEY_SERVER_HTTP_LIVE_SOURCE_H_
