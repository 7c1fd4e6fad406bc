// A peer of a gossip run as a program: from a run file and a list of peers to
// the model and the metrics in a folder.
#ifndef PARLEY_CLIENT_PROGRAM_GOSSIP_PEER_H_
#define PARLEY_CLIENT_PROGRAM_GOSSIP_PEER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/gossip/membership.h"
#include "client/session/coordinator_session.h"
#include "common/base/stop_signals.h"
#include "common/rpc/channel.h"
#include "parley/v1/run.pb.h"

namespace parley {

// As the command line says it.
struct GossipFlags {
  std::string run_file;
  std::string peers_file;
  std::string listen;
  std::optional<int64_t> index;
  std::string folder;

  bool any() const {
    return !run_file.empty() || !peers_file.empty() || !listen.empty() ||
           index || !folder.empty();
  }
};

// The part of a run that one peer plays.
struct GossipPart {
  v1::RunConfig config;  // filled and checked, its facts stated
  Membership membership;
  int index = 0;
  std::optional<int32_t> data_part;  // of data.train; none: data of its own
  std::string listen;
  std::string folder;
  DialOptions dial;
  int64_t max_model_bytes = 0;
};

// Reads the files, and finds this peer by its index or `name`. `part` is the
// part of the data that --data names; nullopt and `own_data` false: its index.
// InvalidArgument: wrong flags or files, and what is wrong with them.
absl::StatusOr<GossipPart> ReadGossipPart(const GossipFlags& flags,
                                          const std::string& name,
                                          bool own_data,
                                          std::optional<int32_t> part);

// Blocks until all rounds are done or a signal comes: at the first one the peer
// hands over to the others and leaves, at a second one it ends at once. Writes
// metrics.jsonl, run.textproto and at the end model.safetensors to the folder,
// which may hold no run yet.
absl::Status RunGossipPeer(GossipPart part, const TrainerFactory& factory,
                           StopSignals* signals);

}  // namespace parley

#endif  // PARLEY_CLIENT_PROGRAM_GOSSIP_PEER_H_
