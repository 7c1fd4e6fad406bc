// This client's peer in a gossip run that a coordinator brings together: over
// gRPC, with a port of its own.
#ifndef PARLEY_CLIENT_PROGRAM_RENDEZVOUS_PEER_H_
#define PARLEY_CLIENT_PROGRAM_RENDEZVOUS_PEER_H_

#include <atomic>
#include <memory>
#include <string>

#include "client/session/peer_host.h"
#include "common/base/clock.h"
#include "common/rpc/channel.h"

namespace parley {

struct RendezvousPeerOptions {
  // HOST:PORT to listen at; empty: a free port of the address by which the
  // coordinator is reached.
  std::string listen;
  // What other peers are to dial, where that is another one (NAT, containers);
  // port 0: the one it listens at.
  std::string address;
  DialOptions dial;  // of other peers, and how they have to dial this one
  // Where the model goes that the run ends with; empty: nowhere. It may be the
  // same for several peers: what another one has put there meanwhile is
  // replaced by the average of all only.
  std::string save_model;
  Clock* clock = nullptr;  // borrowed
  // Counts the peers that are at work; may be null. Borrowed.
  std::atomic<int>* at_work = nullptr;
};

// Where TLS is used, a peer has to prove the name that the membership says.
std::unique_ptr<PeerHost> MakeRendezvousPeer(RendezvousPeerOptions options);

}  // namespace parley

#endif  // PARLEY_CLIENT_PROGRAM_RENDEZVOUS_PEER_H_
