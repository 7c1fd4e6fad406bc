// The gossip of a run: its algorithm, what that costs and needs, and the rules.
#ifndef PARLEY_COMMON_CONFIG_RUN_GOSSIP_H_
#define PARLEY_COMMON_CONFIG_RUN_GOSSIP_H_

#include <cstdint>
#include <string>

#include "common/config/complaints.h"
#include "common/topology/topology.h"
#include "parley/v1/run.pb.h"

namespace parley {

// A gossip algorithm and its numbers; which of them count depends on `kind`,
// the name of its field in message Gossip of run.proto.
struct AlgorithmOptions {
  std::string kind = "d_sgd";
  bool combine = false;  // d_sgd: adapt then combine
  double momentum = 0;   // d_sgd, decent_lam
  // choco: "top", "random", "int8" or "bfloat16"; the share that the first two
  // send; γ; the seed of the random places.
  std::string compressor = {};
  double share = 1;
  double consensus_step = 1;
  uint64_t seed = 0;
};

// What an algorithm needs.
struct AlgorithmTraits {
  // Models that it keeps beside x, the gradient and what a round needs; as
  // people call them.
  int states = 0;
  std::string state_names = {};
  // Keeps one more for each neighbour.
  bool edge_states = false;
  int parts = 1;  // models that it sends
  // Its local steps come before what it sends; else both go on at once.
  bool trains_first = true;
  // Needs W symmetric; and the same in all rounds.
  bool symmetric = false;
  bool fixed = false;
  // Wants (I + W)/2.
  bool lazy = false;
  // Gives away instead of exchanging, whatever the graph.
  bool flows = false;
  bool averages = false;  // exactly, in every round
  // Peers have no rounds in common; two at a time take their mean.
  bool pairs = false;
};

// The kinds that this version has.
AlgorithmTraits TraitsOf(const AlgorithmOptions& options);

// With defaults filled in.
AlgorithmOptions AlgorithmOptionsOf(const v1::RunConfig& config);
TopologyOptions GossipTopologyOf(const v1::RunConfig& config);

// Models that a peer holds at once: the algorithm's states, x and Δ, and three
// times what it sends: the snapshot, what is mixed in, what arrives.
// `neighbours` counts where it keeps one for each.
int64_t PeerVectors(const AlgorithmTraits& traits, int64_t neighbours);

// Of choco, for models of `elements` numbers with `size` bytes each: how many
// are sent by the compressors that leave some out, and the bytes of a payload.
inline constexpr int64_t kInt8Block = 4096;  // numbers that share a scale
int64_t SentNumbers(const AlgorithmOptions& options, int64_t elements);
int64_t CompressedBytes(const AlgorithmOptions& options, int64_t size,
                        int64_t elements);

// A part of CheckRules (rules.h).
void CheckGossipRules(const v1::RunConfig& config, Complaints& complaints);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_RUN_GOSSIP_H_
