#include "client/gossip/peer_state.h"

#include <cmath>

#include "client/gossip/number_chunks.h"
#include "client/gossip/vectors.h"
#include "common/base/status_macros.h"

namespace parley {
namespace {

// One that nobody else holds, of so many elements.
void Renew(DType dtype, int64_t elements,
           std::shared_ptr<ParameterVector>* numbers) {
  if (*numbers && (*numbers)->elements() == elements && HeldAlone(*numbers)) {
    return;
  }
  *numbers = std::make_shared<ParameterVector>(dtype, elements);
}

// The same numbers, which nobody else holds.
void Detach(std::shared_ptr<ParameterVector>* numbers) {
  if (HeldAlone(*numbers)) return;
  *numbers = std::make_shared<ParameterVector>((*numbers)->Clone());
}

}  // namespace

absl::StatusOr<std::unique_ptr<PeerState>> PeerState::Create(
    const AlgorithmOptions& options, ParameterVector start, int self, int peers,
    bool joins) {
  const AlgorithmTraits traits = TraitsOf(options);
  PARLEY_ASSIGN_OR_RETURN(
      std::unique_ptr<Algorithm> algorithm,
      MakeAlgorithm(options, self, start.dtype(), start.elements()));
  return std::unique_ptr<PeerState>(new PeerState(
      std::move(algorithm), traits, std::move(start), self, peers, joins));
}

PeerState::PeerState(std::unique_ptr<Algorithm> algorithm,
                     AlgorithmTraits traits, ParameterVector start, int self,
                     int peers, bool joins)
    : algorithm_(std::move(algorithm)),
      traits_(traits),
      self_(self),
      peers_(peers),
      x_(std::move(start)),
      delta_(x_.dtype(), x_.elements()),
      omegas_(peers) {
  added_ = balance();
  if (joins) TakeNothing();
  if (traits_.pairs) {
    base_ = ParameterVector(x_.dtype(), x_.elements());
    Prepare(1, false);  // a step may end without any exchange before
  }
}

// ------------------------------------------------------------- local steps

void PeerState::TakeSnapshot() {
  if (traits_.pairs) CopyInto(x_, &base_);
}

absl::StatusOr<TrainResult> PeerState::Train(Trainer* trainer,
                                             const TrainTask& task) {
  const ParameterVector& x = traits_.pairs ? base_ : x_;
  if (omega_ == 0) {  // it has joined, and has no model yet
    SetZero(&delta_);
    return TrainResult();
  }
  ScaleInto(1 / omega_, x, &delta_);
  PARLEY_ASSIGN_OR_RETURN(const TrainResult result,
                          trainer->Train(task, delta_));
  if (delta_.dtype() != x_.dtype() || delta_.elements() != x_.elements()) {
    return absl::InternalError("the trainer changed the parameters' shape");
  }
  if (!delta_.AllFinite()) {
    return absl::InternalError(
        "training diverged: parameters are infinite or not numbers; a smaller "
        "step size may help");
  }
  SubtractRounded(1 / omega_, x, &delta_);
  return result;
}

// ------------------------------------------------------------------ rounds

void PeerState::Prepare(int64_t round, bool plain) {
  plain_ = plain;
  const int64_t elements = x_.elements() * (plain ? 1 : traits_.parts);
  Renew(x_.dtype(), elements, &sent_);
  if (traits_.pairs) {  // who tells of a local step may read it meanwhile
    Renew(x_.dtype(), elements, &mixed_);
    SetZero(mixed_.get());
  } else if (mixed_ != nullptr) {
    spare_ = std::move(mixed_);
  }
  mixed_omega_ = 0;
  given_.clear();
  neighbour_distance_ = 0;
  omegas_[self_] = omega_;
  if (plain) {
    CopyInto(x_, sent_.get());
  } else {
    algorithm_->Prepare(round, x_, delta_, sent_.get());
  }
}

void PeerState::Fold(const gossip_effect::Fold& fold) {
  if (fold.step.use() == v1::AVERAGE) {
    return FoldSegment(fold.step, fold.omega);
  }
  Flow& flow = flows_[fold.peer];
  if (EdgeStates* const states = algorithm_->edge_states()) {
    const double before = SumOf(Mixed());
    states->Fold(fold.peer, fold.weight, *staged_, *sent_, mixed_.get());
    flow.sum += SumOf(*mixed_) - before;
    return;
  }
  Comparison compared;
  if (traits_.pairs) {
    compared = Compare(1, *staged_, 1, *sent_);
    AddDifference(fold.weight, *staged_, *sent_, &Mixed());
    AddScaled(1, *mixed_, &x_);
  } else {
    compared = mixing_->compared();
    std::swap(mixed_, staged_);
  }
  neighbour_distance_ += fold.weight * compared.squared_distance;
  if (fold.step.use() == v1::EXCHANGE) {
    flow.sum += fold.weight * (compared.sum_a - compared.sum_b);
  } else {
    mixed_omega_ += fold.weight * fold.omega;
    flow.sum += fold.weight * compared.sum_a;
    flow.omega += fold.weight * fold.omega;
  }
}

// Written to: a transfer that was broken off may still read what it was.
ParameterVector& PeerState::Mixed() {
  if (mixed_ != nullptr) {
    Detach(&mixed_);
    return *mixed_;
  }
  mixed_ = std::move(spare_);
  Renew(x_.dtype(), sent_->elements(), &mixed_);
  SetZero(mixed_.get());
  return *mixed_;
}

void PeerState::Give(int peer, double weight) {
  given_[peer] = weight;  // taken off in Mix: when this is called is chance
  Flow& flow = flows_[peer];
  flow.sum -= weight * SumOf(*sent_);
  flow.omega -= weight * omega_;
}

void PeerState::KeepDoubt(const gossip_effect::KeepDoubt& doubt) {
  Kept kept = {.use = doubt.step.use(),
               .plain = plain_,
               .round = doubt.step.round(),
               .change = ParameterVector(x_.dtype(), sent_->elements())};
  if (kept.use == v1::EXCHANGE) {
    if (EdgeStates* const states = algorithm_->edge_states()) {
      states->FoldDoubt(doubt.peer, doubt.weight, *staged_, *sent_,
                        &kept.change);
    } else if (traits_.pairs) {
      AddDifference(doubt.weight, *staged_, *sent_, &kept.change);
    } else {
      CopyInto(*staged_, &kept.change);
      if (mixed_ != nullptr) AddScaled(-1, *mixed_, &kept.change);
    }
  } else if (kept.use == v1::FLOW) {
    Give(doubt.peer, doubt.weight);
    AddScaled(doubt.weight, *sent_, &kept.change);
    kept.omega = doubt.weight * omega_;
  } else {
    CopyInto(Mixed(), &kept.change);
    if (plain_) {
      ScaleBy(1.0 / peers_, &kept.change);
      kept.omega = MeanOmega();
    } else {
      TakeMean(&kept.change, &kept.omega);
    }
  }
  kept.sum = SumOf(kept.change);
  doubts_.emplace(doubt.peer, std::move(kept));
}

void PeerState::Settle(const gossip_effect::Settle& settle) {
  auto [it, end] = doubts_.equal_range(settle.peer);
  while (it != end && it->second.round != settle.step.round()) ++it;
  if (it == end) return;
  Kept& kept = it->second;
  const bool applies =
      kept.use == v1::FLOW ? !settle.committed : settle.committed;
  if (applies) {
    const double before = Sum();
    if (kept.plain && kept.use == v1::AVERAGE) {
      CopyInto(kept.change, &x_);
      kept.omega -= omega_;
    } else if (kept.plain) {
      AddScaled(1, kept.change, &x_);
    } else {
      algorithm_->MixLate(settle.peer, kept.round, kept.change,
                          settle.rounds_late, &x_);
    }
    if (kept.omega != 0) omega_ += kept.omega;  // training reads it
    const double change = Sum() - before;
    // What went on since, by momentum or such, is no part of what was missed.
    const double missed = algorithm_->carries_on() ? kept.sum : change;
    const bool edge = kept.use != v1::AVERAGE;
    if (edge) {
      flows_[settle.peer].sum += missed;
      flows_[settle.peer].omega += kept.omega;
    }
    added_.sum += edge ? change - missed : change;
    if (!edge) added_.omega += kept.omega;
  }
  doubts_.erase(it);
}

absl::Status PeerState::Mix() {
  ParameterVector& mixed = Mixed();
  double given = 0;
  for (const auto& [peer, weight] : given_) given += weight;
  if (std::abs(given - 1) < 1e-12) given = 1;  // all, to the last bit
  if (given != 0) {
    AddScaled(-given, *sent_, &mixed);
    mixed_omega_ -= given * omega_;
  }
  omega_ += mixed_omega_;
  if (plain_) {
    AddScaled(1, mixed, &x_);
  } else {
    added_.sum += algorithm_->LocalSum(delta_, *sent_, x_);
    algorithm_->Mix(&delta_, *sent_, &mixed, &x_);
  }
  if (!x_.AllFinite()) {
    return absl::InternalError(
        "mixing diverged: parameters are infinite or not numbers");
  }
  return absl::OkStatus();
}

void PeerState::TakeModel() {
  added_.sum -= Sum();
  CopyInto(*staged_, &x_);
  added_.sum += Sum();
}

void PeerState::TakeNothing() {
  added_.sum -= SumOf(x_);
  added_.omega -= omega_;
  omega_ = 0;
  SetZero(&x_);
}

void PeerState::ChangeEpoch(const gossip_effect::ChangeEpoch& change) {
  self_ = change.self;
  peers_ = static_cast<int>(change.addresses.size());
  omegas_.assign(peers_, 0);
  for (auto& [peer, flow] : std::exchange(flows_, {})) {
    const int index = change.index[peer];
    if (index >= 0 && !change.begins_anew[index]) {
      flows_[index] = flow;
    } else {
      gone_.sum += flow.sum;
      gone_.omega += flow.omega;
    }
  }
  std::multimap<int, Kept> doubts;
  for (auto& [peer, kept] : doubts_) {
    // After the last average nobody settles: what those that are gone were to
    // tell of edges is written off.
    if (peer >= 0 && change.index[peer] < 0) continue;
    doubts.emplace(peer < 0 ? peer : change.index[peer], std::move(kept));
  }
  doubts_ = std::move(doubts);
  added_.sum -= algorithm_->SumBesideX();
  algorithm_->BeginEpoch(self_, change.round);
  added_.sum += algorithm_->SumBesideX();
}

double PeerState::Sum() const { return SumOf(x_) + algorithm_->SumBesideX(); }

ParameterVector PeerState::Model() const {
  ParameterVector model = x_.Clone();
  if (omega_ != 1 && omega_ != 0) ScaleBy(1 / omega_, &model);
  return model;
}

// ---------------------------------------------------------------- averages

PeerState::Range PeerState::SegmentOf(int sender, int step) const {
  // First each peer sums up one segment, then all get all sums.
  const int shift = step < peers_ - 1 ? -step : peers_ - step;
  const int segment = ((sender + shift) % peers_ + peers_) % peers_;
  const int64_t n = sent_->elements();
  return {n * segment / peers_, n * (segment + 1) / peers_};
}

void PeerState::FoldSegment(const v1::PeerStep& step, double omega) {
  const int sender = (self_ + peers_ - 1) % peers_;
  const Range range = SegmentOf(sender, step.step());
  if (step.step() == 0) AddScaled(1, *sent_, &Mixed());
  if (step.step() < peers_ - 1) {
    omegas_[(sender - step.step() + peers_) % peers_] = omega;
    AddRange(*staged_, 0, range.end - range.begin, mixed_.get(), range.begin);
  } else {
    CopyRange(*staged_, 0, range.end - range.begin, mixed_.get(), range.begin);
  }
}

void PeerState::TakeMean(ParameterVector* mixed, double* omega) const {
  ScaleBy(1.0 / peers_, mixed);
  AddScaled(-1, *sent_, mixed);
  *omega = MeanOmega() - omega_;
}

double PeerState::MeanOmega() const {
  double sum = 0;
  for (const double o : omegas_) sum += o;
  return sum / peers_;
}

void PeerState::CloseAverage(bool applied) {
  if (applied && !plain_) {
    TakeMean(&Mixed(), &mixed_omega_);
    added_.sum += SumOf(*mixed_);
    added_.omega += mixed_omega_;
    return;
  }
  if (applied) {
    // Without the detour of the difference all peers end with the same bits.
    added_.sum -= SumOf(x_);
    added_.omega += MeanOmega() - omega_;
    omega_ = MeanOmega();
    CopyInto(Mixed(), &x_);
    ScaleBy(1.0 / peers_, &x_);
    added_.sum += SumOf(x_);
  }
  // Where this peer gives up, its last segment may still be on its way, and the
  // others may take the average. Before Prepare there is nothing yet.
  if (mixed_ != nullptr) spare_ = std::move(mixed_);
}

// --------------------------------------------------------------- transfers

std::shared_ptr<PayloadSink> PeerState::Staging(const gossip_effect::Arm& arm) {
  const v1::PeerStep& step = arm.step;
  int64_t elements = sent_ ? sent_->elements() : x_.elements();
  if (step.use() == v1::COPY_MODEL) {
    elements = x_.elements();
  } else if (step.use() == v1::AVERAGE) {
    const Range range = SegmentOf(arm.peer, step.step());
    elements = range.end - range.begin;
  }
  if (staged_ == nullptr) staged_ = std::move(spare_);
  Renew(x_.dtype(), elements, &staged_);
  if (step.use() == v1::EXCHANGE && algorithm_->edge_states() != nullptr) {
    return algorithm_->edge_states()->SinkFor(arm.peer, staged_);
  }
  // Of pairs what is to be sent is not known yet.
  const bool edge = step.use() == v1::EXCHANGE || step.use() == v1::FLOW;
  if (!edge || traits_.pairs) return std::make_shared<NumberSink>(staged_);
  mixing_ = std::make_shared<MixingSink>(
      MixingSink::Options{.flow = step.use() == v1::FLOW,
                          .weight = arm.weight,
                          .omega = omega_,
                          .sent = sent_,
                          .mixed = mixed_,
                          .staged = staged_});
  return mixing_;
}

std::shared_ptr<ChunkSource> PeerState::Source(int peer,
                                               const v1::PeerStep& step) const {
  if (step.use() == v1::COPY_MODEL) {
    return std::make_shared<NumberSource>(
        std::make_shared<const ParameterVector>(x_.Clone()), 0, x_.elements());
  }
  if (step.use() == v1::AVERAGE) {
    const Range range = SegmentOf(self_, step.step());
    return std::make_shared<NumberSource>(step.step() == 0 ? sent_ : mixed_,
                                          range.begin, range.end);
  }
  if (step.use() == v1::EXCHANGE) {
    if (EdgeStates* const states = algorithm_->edge_states()) {
      return states->SourceFor(peer);
    }
  }
  return std::make_shared<NumberSource>(sent_, 0, sent_->elements());
}

double PeerState::OmegaOf(const v1::PeerStep& step) const {
  if (step.use() == v1::FLOW) return omega_;
  if (step.use() == v1::AVERAGE && step.step() < peers_ - 1) {
    return omegas_[(self_ - step.step() + peers_) % peers_];
  }
  return 1;
}

uint64_t PeerState::BytesOf(int peer, const v1::PeerStep& step) const {
  const uint64_t size = SizeOf(x_.dtype());
  if (step.use() == v1::COPY_MODEL) return x_.bytes();
  if (step.use() == v1::AVERAGE) {
    const Range range = SegmentOf(self_, step.step());
    return (range.end - range.begin) * size;
  }
  if (step.use() == v1::EXCHANGE && algorithm_->edge_states() != nullptr) {
    return algorithm_->edge_states()->BytesFor(peer);
  }
  return sent_->elements() * size;
}

}  // namespace parley
