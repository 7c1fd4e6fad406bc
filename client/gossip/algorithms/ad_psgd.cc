// AD-PSGD (Lian et al. 2018, algorithm 1): x_i, x_j ← (x_i + x_j)/2 for pairs,
// at once (PeerState::Fold), and x ← x + Δ at the end of a local step, Δ from
// the x that the step began with.
#include "client/gossip/algorithms/algorithms.h"
#include "client/gossip/vectors.h"

namespace parley {
namespace {

class AdPsgd final : public Algorithm {
 public:
  void Prepare(int64_t, const ParameterVector& x, const ParameterVector&,
               ParameterVector* sent) override {
    CopyInto(x, sent);
  }

  void Mix(ParameterVector* delta, const ParameterVector&, ParameterVector*,
           ParameterVector* x) override {
    AddScaled(1, *delta, x);
  }

  void MixLate(int, int64_t, const ParameterVector& missed, int64_t,
               ParameterVector* x) override {
    AddScaled(1, missed, x);
  }
};

}  // namespace

std::unique_ptr<Algorithm> MakeAdPsgd(const AlgorithmOptions&, DType, int64_t) {
  return std::make_unique<AdPsgd>();
}

}  // namespace parley
