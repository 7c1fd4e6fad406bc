// DecentLaM (Yuan et al. 2021, arXiv 2104.11981, algorithm 2), with M = γ·m:
// M ← β·M + x − W·(x + Δ); x ← x − M. Momentum on what mixing and the local
// steps change together, so that heterogeneous data do not bias it.
#include <cmath>

#include "client/gossip/algorithms/algorithms.h"
#include "client/gossip/vectors.h"

namespace parley {
namespace {

class DecentLam final : public Algorithm {
 public:
  DecentLam(double momentum, DType dtype, int64_t elements)
      : momentum_(momentum), m_(dtype, elements) {}

  void Prepare(int64_t, const ParameterVector& x, const ParameterVector& delta,
               ParameterVector* sent) override {
    CopyInto(x, sent);
    AddScaled(1, delta, sent);
  }

  // x − W·(x + Δ) = −Δ − mixed.
  void Mix(ParameterVector* delta, const ParameterVector&,
           ParameterVector* mixed, ParameterVector* x) override {
    ScaleBy(momentum_, &m_);
    AddScaled(-1, *delta, &m_);
    AddScaled(-1, *mixed, &m_);
    AddScaled(-1, m_, x);
  }

  // What was missed would have gone on in M: 1 + β + β² + ...
  void MixLate(int, int64_t, const ParameterVector& missed, int64_t rounds,
               ParameterVector* x) override {
    const double last = std::pow(momentum_, static_cast<double>(rounds - 1));
    AddScaled((1 - last * momentum_) / (1 - momentum_), missed, x);
    AddScaled(-last, missed, &m_);
  }

  double LocalSum(const ParameterVector& delta, const ParameterVector&,
                  const ParameterVector&) const override {
    return SumOf(delta) - momentum_ * SumOf(m_);
  }
  bool carries_on() const override { return true; }

 private:
  const double momentum_;
  ParameterVector m_;
};

}  // namespace

std::unique_ptr<Algorithm> MakeDecentLam(const AlgorithmOptions& options,
                                         DType dtype, int64_t elements) {
  return std::make_unique<DecentLam>(options.momentum, dtype, elements);
}

}  // namespace parley
