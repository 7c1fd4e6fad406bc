#include "client/gossip/hello_check.h"

#include "absl/strings/str_cat.h"
#include "common/wire/protocol.h"

namespace parley {

std::string WhyHelloDoesNotFit(const v1::PeerHello& ours,
                               const v1::PeerHello& theirs,
                               const std::vector<std::string>& names) {
  if (theirs.protocol_version() != kProtocolVersion) {
    return absl::StrCat("it speaks protocol version ",
                        theirs.protocol_version(), ", this peer ",
                        kProtocolVersion);
  }
  if (theirs.run_id() != ours.run_id() || theirs.run() != ours.run()) {
    return absl::StrCat("it takes part in another run, ", theirs.run(),
                        "; this one is ", ours.run());
  }
  if (theirs.spec_hash() != ours.spec_hash()) return "it has another model";
  if (theirs.epoch() != ours.epoch()) {
    return absl::StrCat("it is in membership epoch ", theirs.epoch(),
                        ", this peer in ", ours.epoch());
  }
  if (theirs.schedule_hash() != ours.schedule_hash()) {
    return "it mixes by another schedule";
  }
  if (theirs.incarnation() == 0) return "incarnation 0 means none";
  const int index = theirs.index();
  if (index < 0 || index >= static_cast<int>(names.size()) ||
      index == ours.index() || names[index] != theirs.name()) {
    return absl::StrCat("peer ", index, " is not ", theirs.name(), " here");
  }
  return "";
}

}  // namespace parley
