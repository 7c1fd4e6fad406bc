// What a run costs, before it is started.
#ifndef PARLEY_COMMON_CONFIG_EXPLAIN_H_
#define PARLEY_COMMON_CONFIG_EXPLAIN_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/json.h"
#include "common/config/facts.h"
#include "parley/v1/run.pb.h"

namespace parley {

// Bytes of parameters are those on the wire, less headers, which are some
// hundred bytes a MiB.
struct RunCosts {
  DataFacts facts;
  bool gossip = false;  // then only what says so, and what is of all runs
  int64_t parameters = 0;
  // With all parts taken, or else as many clients as a round waits for.
  int64_t clients = 0;
  int64_t needed = 0;                 // of them in a round
  int64_t asked = 0;                  // with over-selection
  int64_t bytes_down_per_client = 0;  // each task
  int64_t bytes_up_per_client = 0;
  int64_t bytes_down_per_round = 0;  // of training, over all that are asked
  int64_t bytes_up_per_round = 0;
  // Of a round that has a federated evaluation, on top; 0: there is none.
  int64_t evaluation_bytes_down = 0;
  int64_t bytes_in_all = 0;  // both ways, all rounds
  // Model, float64 sum of an averaging strategy, staging budget, 128 KiB a
  // client, 4 MiB a transfer permit, each way, 64 MiB for the program, and the
  // test set of a central evaluation.
  int64_t coordinator_memory = 0;
  // Parameters, gradient, the update kept until the round is over, with
  // momentum the velocity, with a proximal term what the round began with, and
  // an average part of data.train.
  int64_t client_memory = 0;

  // Of gossip: `clients` are its peers, and `bytes_in_all` what all send.
  double payloads_per_peer = 0;  // that one sends in a round, on average
  int64_t payload_bytes = 0;
  int64_t bytes_per_peer = 0;  // that one sends in a round, on average
  // Models in client_memory: the algorithm's states, x and Δ, what the round
  // sends, mixes in and receives, what local steps hold beside the parameters,
  // and of a central evaluation this peer's own model. On top choco's payloads,
  // an average part of data.train, and data.test. Beside it come the program,
  // 6 MiB a connection, what the model's layers take for a batch, and, of
  // models below 8 MiB, some that the heap keeps; and what follows.
  int64_t peer_vectors = 0;
  // Where something fails: for each edge, or exact average, in doubt.
  int64_t doubt_memory = 0;
  // For each peer that joins, while it takes this one's model; 0: none does.
  int64_t copy_memory = 0;
};

// Reads what ProbeData reads, and of sparse sources everything. Statuses: as
// ProbeData, ModelOptionsOf and the loaders.
absl::StatusOr<RunCosts> ComputeCosts(const v1::RunConfig& config);

// The run file with all that was filled in, followed by the costs as comments:
// it can be run as it is.
std::string Explain(const v1::RunConfig& config, const RunCosts& costs);

Json ToJson(const RunCosts& costs);

// "512 B", "1.5 KiB", "3.2 GiB".
std::string FormatBytes(int64_t bytes);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_EXPLAIN_H_
