// A client at work in all runs of a coordinator: one CoordinatorSession a run,
// and one that waits for the next.
#ifndef PARLEY_CLIENT_SESSION_CLIENT_RUNS_H_
#define PARLEY_CLIENT_SESSION_CLIENT_RUNS_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/session/coordinator_session.h"

namespace parley {

// As CoordinatorSessionSeams; each session has a transport, and a peer's host,
// of its own. Sessions share `work`, so with one thread there one task is done
// at a time; and they are destroyed there.
struct ClientRunsSeams {
  std::function<std::unique_ptr<CoordinatorTransport>()> make_transport;
  Clock* clock = nullptr;
  Executor* control = nullptr;
  Executor* work = nullptr;
  // Null: takes part in no gossip runs.
  std::function<std::unique_ptr<PeerHost>()> make_peer = {};
};

// Used as a CoordinatorSession, and where the coordinator has one run it is no
// more than that. Where it may have more, the client stays for them: a run that
// it cannot train, or that fails, is said and left alone. Holds a model at most
// twice for each run that goes on.
class ClientRuns {
 public:
  // So many runs at once.
  static constexpr int kMaxRuns = 64;

  // Errors as CoordinatorSession::Create.
  static absl::StatusOr<std::unique_ptr<ClientRuns>> Create(
      CoordinatorSessionOptions options, ClientRunsSeams seams,
      TrainerFactory trainer_factory);

  // Stops, if it was started and is not done, and waits for the end.
  ~ClientRuns();

  // `done` is called once, on the control executor. Of a coordinator with one
  // run, with how its session ended. Else OK after Stop, and what ended the
  // waiting for further runs: Unavailable, no coordinator for max_offline;
  // FailedPrecondition, this client was sent away.
  using Done = CoordinatorSession::Done;
  void Start(Done done);
  // Thread-safe, as CoordinatorSession::Stop.
  void Stop(std::string reason);
  void Leave(std::string reason);  // as CoordinatorSession::Leave

 private:
  class Impl;
  explicit ClientRuns(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_SESSION_CLIENT_RUNS_H_
