// Whether the two ends of a link fit together.
#ifndef PARLEY_CLIENT_GOSSIP_HELLO_CHECK_H_
#define PARLEY_CLIENT_GOSSIP_HELLO_CHECK_H_

#include <string>
#include <vector>

#include "parley/v1/peer.pb.h"

namespace parley {

// Why whoever says `theirs` is no peer of the one that says `ours`, whose run
// has peers of these `names`; empty: it is.
std::string WhyHelloDoesNotFit(const v1::PeerHello& ours,
                               const v1::PeerHello& theirs,
                               const std::vector<std::string>& names);

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_HELLO_CHECK_H_
