// A client at work: joins a coordinator, trains and evaluates when asked, and
// reports, until the run is over. Drives one SessionMachine.
#ifndef PARLEY_CLIENT_SESSION_COORDINATOR_SESSION_H_
#define PARLEY_CLIENT_SESSION_COORDINATOR_SESSION_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/sdk/trainer.h"
#include "client/session/coordinator_transport.h"
#include "client/session/peer_host.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/log.h"
#include "parley/v1/run.pb.h"

namespace parley {

struct CoordinatorSessionOptions {
  std::vector<std::string> servers;  // addresses; the first that answers counts
  std::string name;                  // [A-Za-z0-9._-]{1,128}
  uint64_t incarnation = 0;          // of this process start; not 0
  std::map<std::string, std::string> labels;
  bool wants_part = false;      // of the run's named data set
  std::optional<int32_t> part;  // this very one; only with wants_part
  std::string software;         // for people
  // Where LOCAL tensors are kept; empty: they live as long as the session.
  std::string state_folder;
  // Does not join a run whose model takes more bytes, in its dtype.
  int64_t max_model_bytes = std::numeric_limits<int64_t>::max();

  // Runs that it does not want, where the coordinator has several.
  std::vector<std::string> except_runs;

  // Gives up when no coordinator was reached for so long.
  absl::Duration max_offline = absl::InfiniteDuration();
  // Says what it waits for so often.
  absl::Duration report_every = absl::Seconds(10);
  // Takes the log lines; default: Log(). Called on the session's sequence.
  std::function<void(LogLevel, absl::string_view)> log;
  // Called on the session's sequence once it has joined a run, perhaps again;
  // more_runs: the coordinator may have others.
  std::function<void(const std::string& run, bool more_runs)> on_joined;
};

// What a session stands on; all borrowed, all must outlive it.
struct CoordinatorSessionSeams {
  CoordinatorTransport* transport = nullptr;
  Clock* clock = nullptr;
  // Decisions and sending: short closures, one at a time. Post must not run a
  // closure before it returns.
  Executor* control = nullptr;
  // Making the trainer, training, evaluating: long closures. May be the same
  // where it has two threads or more. What these closures give back they post
  // to `control` at their very end.
  Executor* work = nullptr;
  // For gossip runs; null: takes part in none.
  PeerHost* peer = nullptr;
};

// Makes the trainer of a run, as told by the coordinator; `part` is the part of
// config.data that this client was given. Called on `work`.
using TrainerFactory = std::function<absl::StatusOr<std::unique_ptr<Trainer>>(
    const v1::RunConfig& config, std::optional<int32_t> part)>;

// Create, Start, and wait for `done`; then destroy. Start, Stop and
// Leave are thread-safe. Holds the model at most twice, as it came and as
// trained, and the LOCAL tensors twice more.
class CoordinatorSession {
 public:
  // InvalidArgument: no servers, a name or an incarnation that is none.
  static absl::StatusOr<std::unique_ptr<CoordinatorSession>> Create(
      CoordinatorSessionOptions options, CoordinatorSessionSeams seams,
      TrainerFactory trainer_factory);

  // Stops, if it was started and is not done, and waits for the end: on a
  // single-threaded executor destroy it only when it is done. Not to be called
  // on its own sequence, so not within `done`.
  ~CoordinatorSession();

  // `done` is called once, on the control executor, when nothing is under way
  // any more: OK when the run is over or after Stop. FailedPrecondition: the
  // coordinator and this client do not fit, its model is too large, or this
  // client was sent away. Unavailable:
  // no coordinator for max_offline. Else what the trainer factory said.
  using Done = absl::AnyInvocable<void(absl::Status) &&>;
  void Start(Done done);

  // Takes leave of the coordinator, cancels what is under way, and is done soon
  // after. Does nothing when done already.
  void Stop(std::string reason);
  // The same; a peer of a gossip run hands over first, which takes a round or
  // two.
  void Leave(std::string reason);

 private:
  class Impl;
  explicit CoordinatorSession(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_SESSION_COORDINATOR_SESSION_H_
