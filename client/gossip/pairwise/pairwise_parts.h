// What the pairwise machine remembers of its neighbours, its step and the
// exchange that it is in.
#ifndef PARLEY_CLIENT_GOSSIP_PAIRWISE_PAIRWISE_PARTS_H_
#define PARLEY_CLIENT_GOSSIP_PAIRWISE_PAIRWISE_PARTS_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>

#include "absl/time/time.h"
#include "client/gossip/gossip_parts.h"

namespace parley {
namespace pairwise_parts {

// `committed` and `decided` are the edge's exchanges, at both ends.
struct Neighbour : gossip_parts::Neighbour {
  bool drawn = false;   // of the graph; else only of the ring at the end
  bool done = false;    // with its steps
  int64_t offered = 0;  // by a lower index, not yet taken; 0: nothing
  absl::Time heard = absl::InfinitePast();  // of it, last
};
struct Want {  // an exchange for the current step
  int peer;
  absl::Time since;  // it was asked for
};
// Peers in the order in which they came, each once.
class PeerQueue {
 public:
  void Add(int peer) {
    if (std::find(peers_.begin(), peers_.end(), peer) == peers_.end()) {
      peers_.push_back(peer);
    }
  }
  void Remove(int peer) { std::erase(peers_, peer); }
  // Out of the queue: the first that is ready.
  template <typename Ready>
  std::optional<int> Take(const Ready& ready) {
    const auto first = std::find_if(peers_.begin(), peers_.end(), ready);
    if (first == peers_.end()) return std::nullopt;
    const int peer = *first;
    peers_.erase(first);
    return peer;
  }

 private:
  std::deque<int> peers_;
};
struct Exchange {
  enum class Stage {
    kOffered,  // by this peer
    kMoving,
    kClosing  // decided, or in doubt: waits for its numbers
  };
  int peer;
  int64_t number;
  Stage stage;
  bool wanted;  // by the current step
  absl::Time since;
  absl::Time moved;
  bool prepared = false;
  bool begun = false;  // to arrive
  bool whole = false;
  bool received = false;  // by the other one, as it says
  double omega = 1;
};

}  // namespace pairwise_parts
}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_PAIRWISE_PAIRWISE_PARTS_H_
