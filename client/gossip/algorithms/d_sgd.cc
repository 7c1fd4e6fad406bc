// D-SGD. Adapt while communicating, as in arXiv 2306.02913, equation (2):
// x ← W·x + Δ, Δ from the x that was sent. Adapt then combine:
// x ← W·(x + Δ). With heavy ball v ← β·v + Δ in place of Δ.
#include "client/gossip/algorithms/algorithms.h"
#include "client/gossip/vectors.h"

namespace parley {
namespace {

class DSgd final : public Algorithm {
 public:
  DSgd(const AlgorithmOptions& options, DType dtype, int64_t elements)
      : combine_(options.combine), momentum_(options.momentum) {
    if (momentum_ > 0) velocity_ = ParameterVector(dtype, elements);
  }

  void Prepare(int64_t, const ParameterVector& x, const ParameterVector& delta,
               ParameterVector* sent) override {
    CopyInto(x, sent);
    if (combine_) AddScaled(1, Velocity(delta), sent);
  }

  void Mix(ParameterVector* delta, const ParameterVector& sent,
           ParameterVector* mixed, ParameterVector* x) override {
    if (!combine_) return AddUp(sent, *mixed, Velocity(*delta), x);
    CopyInto(sent, x);
    AddScaled(1, *mixed, x);
  }

  void MixLate(int, int64_t, const ParameterVector& missed, int64_t,
               ParameterVector* x) override {
    AddScaled(1, missed, x);
  }

  double LocalSum(const ParameterVector& delta, const ParameterVector&,
                  const ParameterVector&) const override {
    if (momentum_ == 0) return SumOf(delta);
    return combine_ ? SumOf(velocity_)
                    : momentum_ * SumOf(velocity_) + SumOf(delta);
  }

 private:
  const ParameterVector& Velocity(const ParameterVector& delta) {
    if (momentum_ == 0) return delta;
    ScaleBy(momentum_, &velocity_);
    AddScaled(1, delta, &velocity_);
    return velocity_;
  }

  const bool combine_;
  const double momentum_;
  ParameterVector velocity_;
};

}  // namespace

std::unique_ptr<Algorithm> MakeDSgd(const AlgorithmOptions& options,
                                    DType dtype, int64_t elements) {
  return std::make_unique<DSgd>(options, dtype, elements);
}

}  // namespace parley
