// A peer's numbers: its model and what the algorithm keeps, what a round sends,
// takes in and mixes, and what is in doubt.
#ifndef PARLEY_CLIENT_GOSSIP_PEER_STATE_H_
#define PARLEY_CLIENT_GOSSIP_PEER_STATE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/gossip/algorithms/algorithm.h"
#include "client/gossip/gossip_events.h"
#include "client/gossip/mixing_sink.h"
#include "client/sdk/trainer.h"
#include "common/model/parameters.h"
#include "common/report/conservation.h"
#include "common/wire/chunk.h"
#include "parley/v1/peer.pb.h"

namespace parley {

// Memory: algorithm's states, x, Δ, and parts() times (sent, mixed, staged)
// models; one more for each doubt, of which an edge may have two, and while a
// peer that joins gets a copy. Model() makes one, too. `parley explain` counts
// them. Train may run beside all else but Mix, Settle and TakeSnapshot; of
// pairs beside Settle, too. The others one at a time.
class PeerState {
 public:
  // Vectors that a doubt keeps: what changes of the peer's next x if the edge
  // counted (exchange, average) or if it did not (flow). Of the average after
  // all rounds it is the next x itself, to the last bit.
  struct Kept {
    v1::PeerUse use;
    bool plain;  // as its round was
    int64_t round;
    ParameterVector change;
    double omega = 0;
    double sum = 0;  // Σ of `change`
  };

  // What mixing only moves.
  using Flow = Balance;

  // `self` of `peers`. `joins`: with nothing, ω = 0, where edges give away.
  // InvalidArgument: as MakeAlgorithm.
  static absl::StatusOr<std::unique_ptr<PeerState>> Create(
      const AlgorithmOptions& options, ParameterVector start, int self,
      int peers, bool joins);

  // Of pairs: the local steps that come are made from this x.
  void TakeSnapshot();
  // Runs the local steps at z = x/ω. Errors: what the trainer said; Internal:
  // numbers that are infinite or none.
  absl::StatusOr<TrainResult> Train(Trainer* trainer, const TrainTask& task);

  // What round `round` sends; `plain`: see gossip_effect.
  void Prepare(int64_t round, bool plain);
  // See gossip_effect. Of pairs x changes at once.
  void Fold(const gossip_effect::Fold& fold);
  void Give(int peer, double weight);
  void KeepDoubt(const gossip_effect::KeepDoubt& doubt);
  void Settle(const gossip_effect::Settle& settle);
  void CloseAverage(bool applied);
  // Internal: x is no number any more.
  absl::Status Mix();
  // What was staged is the model to begin with.
  void TakeModel();
  void TakeNothing();
  void ChangeEpoch(const gossip_effect::ChangeEpoch& change);

  // Where the payload of a step is to be put, and where it comes from. Both
  // stay valid whatever happens to the state. What an edge brings is mixed in
  // as it comes: until it is folded, or something else is staged, mixed() stays
  // as it was.
  std::shared_ptr<PayloadSink> Staging(const gossip_effect::Arm& arm);
  std::shared_ptr<ChunkSource> Source(int peer, const v1::PeerStep& step) const;
  // What goes into Begin: the ω that goes with a payload, and its bytes.
  double OmegaOf(const v1::PeerStep& step) const;
  uint64_t BytesOf(int peer, const v1::PeerStep& step) const;

  const ParameterVector& x() const { return x_; }
  // Of the round that was mixed last: what the peer sent, and what mixing
  // changed of it.
  const ParameterVector& sent() const { return *sent_; }
  const ParameterVector& mixed() const { return *mixed_; }
  double omega() const { return omega_; }
  ParameterVector Model() const;  // x/ω
  // By peer (−1: of an average). Of an edge there are two where one is settled
  // but for the change, which Settle makes.
  const std::multimap<int, Kept>& doubts() const { return doubts_; }
  // By peer: what has come over an edge so far less what has gone, as far as it
  // is used. The two ends' add up to 0, but for what one of them is in doubt
  // about.
  const std::map<int, Flow>& flows() const { return flows_; }
  // Of peers that are gone.
  const Flow& gone() const { return gone_; }
  // What there is here: Σ of the numbers of x, of those that the algorithm
  // mixes beside x, too; and ω. But for rounding it is what was added, and what
  // has come over edges.
  Flow balance() const { return {Sum(), omega_}; }
  // What the peer began with, and what its local steps, all that an algorithm
  // carries on from earlier rounds, and exact averages have added since.
  const Flow& added() const { return added_; }
  // Σ_k W_jk·‖x_j − x_k‖² over what was folded this round: ρ-times a bound of
  // the consensus distance, from neighbours alone.
  double neighbour_distance() const { return neighbour_distance_; }

 private:
  struct Range {
    int64_t begin, end;
  };

  PeerState(std::unique_ptr<Algorithm> algorithm, AlgorithmTraits traits,
            ParameterVector start, int self, int peers, bool joins);

  // Of an average: what moves in a step from `sender` to the next peer.
  Range SegmentOf(int sender, int step) const;
  void FoldSegment(const v1::PeerStep& step, double omega);
  // The sum so far, to be changed.
  ParameterVector& Mixed();
  // mixed = mean − sent, and the same of ω.
  void TakeMean(ParameterVector* mixed, double* omega) const;
  double MeanOmega() const;
  double Sum() const;

  const std::unique_ptr<Algorithm> algorithm_;
  const AlgorithmTraits traits_;
  int self_;
  int peers_;

  ParameterVector x_;
  double omega_ = 1;
  ParameterVector delta_;
  ParameterVector base_;  // of pairs: x where Δ began

  // Of the round. Shared with transfers under way.
  bool plain_ = false;
  std::shared_ptr<ParameterVector> sent_;
  std::shared_ptr<ParameterVector> mixed_;  // null: nothing yet
  std::shared_ptr<ParameterVector> staged_;
  std::shared_ptr<ParameterVector> spare_;  // in place of one of the two
  std::shared_ptr<MixingSink> mixing_;      // if that staged, or is to
  double mixed_omega_ = 0;
  std::map<int, double> given_;  // weights, by peer
  double neighbour_distance_ = 0;
  std::vector<double> omegas_;  // of an average, by peer

  std::multimap<int, Kept> doubts_;
  std::map<int, Flow> flows_;
  Flow gone_;
  Flow added_;
};

}  // namespace parley

#endif  // PARLEY_CLIENT_GOSSIP_PEER_STATE_H_
