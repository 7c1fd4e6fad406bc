// Who takes part in a gossip run, and where they are reached.
#ifndef PARLEY_CLIENT_GOSSIP_MEMBERSHIP_H_
#define PARLEY_CLIENT_GOSSIP_MEMBERSHIP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace parley {

struct GossipPeer {
  std::string name;
  std::string address;
};

// The peers of one epoch, by index. A static list is epoch 0 and stays.
struct Membership {
  int64_t epoch = 0;
  std::vector<GossipPeer> peers;
};

// From the text of a PeerList (peer.proto); `path` names it in errors.
// InvalidArgument: it is none, has no peers or too many, a name that is empty
// or there twice, or a peer without an address.
absl::StatusOr<Membership> MembershipFromText(absl::string_view text,
                                              const std::string& path);

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_MEMBERSHIP_H_
