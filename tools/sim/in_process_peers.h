// Peers in one process and in virtual time: what the simulator and the fault
// tests run gossip over.
#ifndef PARLEY_TOOLS_SIM_IN_PROCESS_PEERS_H_
#define PARLEY_TOOLS_SIM_IN_PROCESS_PEERS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/gossip/peer_link.h"
#include "tools/sim/world.h"

namespace parley {

// What goes wrong between two peers; by default nothing. Asked in virtual time,
// so a seeded plan fails the same way in every run.
class PeerFaults {
 public:
  virtual ~PeerFaults() = default;
  // Before each message: true loses it and breaks the link.
  virtual bool BreaksAt(int /*from*/, int /*to*/,
                        const v1::PeerMessage& /*message*/) {
    return false;
  }
  // At the start of each payload: the link breaks after so many chunks.
  virtual std::optional<int64_t> BreaksPayloadAfter(
      int /*from*/, int /*to*/, const v1::PeerBegin& /*begin*/) {
    return std::nullopt;
  }
};

class PeerPipe;

// Of the link between two peers, both ways.
using LinkLatency = std::function<absl::Duration(int a, int b)>;

// All calls come on the world's control executor. Messages take a link's
// latency, numbers take no further time. A peer's address is its index.
class PeerNetwork {
 public:
  struct Options {
    World* world = nullptr;
    int peers = 0;
    LinkLatency latency = nullptr;  // null: 100 µs
    PeerFaults* faults = nullptr;   // may be null
  };
  explicit PeerNetwork(Options options);
  ~PeerNetwork();

  // The transport of a peer, which takes links by `acceptor`; null: none, from
  // now on.
  PeerTransport* TransportOf(int peer);
  void Listen(int peer, PeerAcceptor* acceptor);

  // While a peer is cut off all its links are broken and none can be dialled.
  void CutOff(int peer, bool cut);
  bool IsCutOff(int peer) const { return cut_[peer]; }

 private:
  friend class PeerPipe;
  class Transport;

  const Options options_;
  std::vector<std::unique_ptr<Transport>> transports_;
  std::vector<PeerAcceptor*> acceptors_;  // by peer; null: does not listen
  std::vector<bool> cut_;
  // By peer, the open pipes that it dialled or took.
  std::vector<std::vector<std::weak_ptr<PeerPipe>>> pipes_;
};

}  // namespace parley

#endif  // PARLEY_TOOLS_SIM_IN_PROCESS_PEERS_H_
