// How a peer turns its own local steps and what its neighbours sent into its
// next model: one file an algorithm.
#ifndef PARLEY_CLIENT_GOSSIP_ALGORITHMS_ALGORITHM_H_
#define PARLEY_CLIENT_GOSSIP_ALGORITHMS_ALGORITHM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/parameters.h"

namespace parley {

// What an algorithm needs, for costs and for who drives it.
struct AlgorithmTraits {
  // Models that it keeps beside x, the gradient and what a round needs.
  int states = 0;
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
};

// Which of them count depends on `kind`, the name of its field in message
// Gossip of run.proto.
struct AlgorithmOptions {
  std::string kind = "d_sgd";
  bool combine = false;  // d_sgd: adapt then combine
  double momentum = 0;   // d_sgd, decent_lam
  // choco: "top", "random", "int8" or "bfloat16"; γ; the share that is sent of
  // the first two.
  std::string compressor = {};
  double consensus_step = 1;
  double share = 1;
  uint64_t seed = 0;  // of the random places
};

// One peer's. Δ is the change that the local steps make to the model; `mixed`
// is Σ_k W_jk·(sent_k − sent_j) over the edges that were used. Both may be
// written over by Mix. Vectors have the model's length, `sent` and `mixed`
// parts() times it. Not thread-safe.
class Algorithm {
 public:
  virtual ~Algorithm() = default;

  // What the round sends. `delta` is Δ where traits.trains_first.
  virtual void Prepare(int64_t round, const ParameterVector& x,
                       const ParameterVector& delta, ParameterVector* sent) = 0;
  // The next x.
  virtual void Mix(ParameterVector* delta, const ParameterVector& sent,
                   ParameterVector* mixed, ParameterVector* x) = 0;
  // `missed` should have been in `mixed` `rounds` mixings ago (1: the last
  // one): makes x and all that goes with it what they would be, as far as the
  // sum over all peers goes.
  virtual void MixLate(const ParameterVector& missed, int64_t rounds,
                       ParameterVector* x) = 0;
};

// InvalidArgument: no such kind; those that there are are listed.
absl::StatusOr<AlgorithmTraits> TraitsOf(const AlgorithmOptions& options);
absl::StatusOr<std::unique_ptr<Algorithm>> MakeAlgorithm(
    const AlgorithmOptions& options, DType dtype, int64_t elements);

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_ALGORITHMS_ALGORITHM_H_
