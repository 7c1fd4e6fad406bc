// How a session takes part in a gossip run: a port where other peers dial, and
// the peer itself. Over gRPC in the programs, a fake in tests.
#ifndef PARLEY_CLIENT_SESSION_PEER_HOST_H_
#define PARLEY_CLIENT_SESSION_PEER_HOST_H_

#include <functional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/trainer.h"
#include "parley/v1/coordinator.pb.h"

namespace parley {

// Of one run. Listen and Begin block; all calls come one after another but for
// Stop, Leave and Update, which come at any time after Begin and do not block.
class PeerHost {
 public:
  virtual ~PeerHost() = default;

  // Begins to listen, once; returns where others are to dial this peer, which
  // `server`, the coordinator's address, may have a say in.
  virtual absl::StatusOr<std::string> Listen(const std::string& server) = 0;

  struct Setup {
    v1::Registered registered;
    v1::Membership membership;  // this client is in it
    std::string name;           // of this client
    uint64_t incarnation = 0;
    Trainer* trainer = nullptr;  // borrowed until `on_done`
    // Called on the peer's own threads; must not block.
    std::function<void(v1::PeerReport)> on_report;
    // Once, last, where Begin was OK: all rounds are done, or Stop or Leave
    // came (Cancelled), or why not.
    absl::AnyInvocable<void(absl::StatusOr<v1::PeerDone>) &&> on_done;
  };
  // Starts the peer, or a fresh one in place of an earlier one that is done.
  // InvalidArgument: it cannot take part, and why.
  virtual absl::Status Begin(Setup setup) = 0;
  // Some peers are elsewhere now, or the next epoch begins. This client is in
  // it, as the same peer.
  virtual void Update(const v1::Membership& membership) = 0;
  // Hands over what the peer has, and ends.
  virtual void Leave(const std::string& reason) = 0;
  virtual void Stop(const std::string& reason) = 0;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_SESSION_PEER_HOST_H_
