// How a peer turns its own local steps and what its neighbours sent into its
// next model: one file an algorithm.
#ifndef PARLEY_CLIENT_GOSSIP_ALGORITHMS_ALGORITHM_H_
#define PARLEY_CLIENT_GOSSIP_ALGORITHMS_ALGORITHM_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "client/gossip/payload_sink.h"
#include "common/config/run_gossip.h"
#include "common/model/parameters.h"
#include "common/wire/chunk.h"

namespace parley {

// How an algorithm follows each neighbour by what they exchange, where that is
// not the numbers themselves. Of traits.edge_states, and they alone.
class EdgeStates {
 public:
  virtual ~EdgeStates() = default;
  // How what is sent in an exchange goes to and comes from `peer`; its bytes.
  virtual std::shared_ptr<ChunkSource> SourceFor(int peer) = 0;
  virtual std::shared_ptr<PayloadSink> SinkFor(
      int peer, std::shared_ptr<ParameterVector> staged) = 0;
  virtual uint64_t BytesFor(int peer) = 0;
  // What an exchange with `peer`, which sent `staged`, mixes in.
  virtual void Fold(int peer, double weight, const ParameterVector& staged,
                    const ParameterVector& sent, ParameterVector* mixed) = 0;
  // The same where nobody knows whether it counts: into `kept`, for MixLate.
  virtual void FoldDoubt(int peer, double weight, const ParameterVector& staged,
                         const ParameterVector& sent,
                         ParameterVector* kept) = 0;
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
  // `missed` of an edge with `peer` should have been in the mixing of `round`,
  // `rounds_late` mixings ago (1: the last one). Makes x and all that goes with
  // it what they would be, as far as the sum over all peers goes; where an
  // epoch began since, as far as it does for x.
  virtual void MixLate(int peer, int64_t round, const ParameterVector& missed,
                       int64_t rounds_late, ParameterVector* x) = 0;

  // Of what mixing only moves (PeerState::balance). Σ of the numbers that are
  // mixed beside x, and go with it.
  virtual double SumBesideX() const { return 0; }
  // What the round adds to Σ of x and of those, beside what is mixed in: by the
  // local steps and by what goes on from earlier rounds. Asked before Mix.
  virtual double LocalSum(const ParameterVector& delta,
                          const ParameterVector& sent,
                          const ParameterVector& x) const;
  // Whether what is mixed in goes on in later rounds.
  virtual bool carries_on() const { return false; }

  // Null, as by default: what travels in an exchange is `sent` itself, and
  // w·(sent_k − sent) is mixed in.
  virtual EdgeStates* edge_states() { return nullptr; }

  // Before `round` the membership changes: peers have other indices, this one
  // `self`. What has a sum over all peers that must stay as it is, or follows
  // other peers, begins anew: all peers of the new epoch do so.
  virtual void BeginEpoch(int self, int64_t round);
};

// InvalidArgument: no such kind; those that there are are listed.
absl::StatusOr<std::unique_ptr<Algorithm>> MakeAlgorithm(
    const AlgorithmOptions& options, int self, DType dtype, int64_t elements);

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_ALGORITHMS_ALGORITHM_H_
