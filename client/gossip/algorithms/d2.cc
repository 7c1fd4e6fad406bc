// D² (Tang et al. 2018, arXiv 1803.07068, algorithm 1):
// x_{t+1} = W·(2·x_t − x_{t−1} + Δ_t − Δ_{t−1}), and W·(x_0 + Δ_0) first. Keeps
// x + Δ of the last round. Σ(x_{t+1} − x_t − Δ_t) over all peers stays what it
// was, 0: when peers come or go all begin anew, so that it does for those there
// are.
#include "client/gossip/algorithms/algorithms.h"
#include "client/gossip/vectors.h"

namespace parley {
namespace {

class D2 final : public Algorithm {
 public:
  D2(DType dtype, int64_t elements) : last_(dtype, elements) {}

  void Prepare(int64_t, const ParameterVector& x, const ParameterVector& delta,
               ParameterVector* sent) override {
    CopyInto(x, sent);
    AddScaled(1, delta, sent);
    if (begun_) {
      AddScaled(1, x, sent);
      AddScaled(-1, last_, sent);
    }
    CopyInto(x, &last_);
    AddScaled(1, delta, &last_);
    begun_ = true;
  }

  void Mix(ParameterVector*, const ParameterVector& sent,
           ParameterVector* mixed, ParameterVector* x) override {
    CopyInto(sent, x);
    AddScaled(1, *mixed, x);
  }

  // The sum of x goes on by its last change: what was missed `rounds` ago has
  // grown as many times by now, and by one less a round before.
  // What went on until all began anew has stayed since.
  void MixLate(int, int64_t round, const ParameterVector& missed,
               int64_t rounds, ParameterVector* x) override {
    const bool before = round < epoch_begin_;
    if (before) rounds = epoch_begin_ - round;
    AddScaled(static_cast<double>(rounds), missed, x);
    AddScaled(static_cast<double>(before ? rounds : rounds - 1), missed,
              &last_);
  }

  double LocalSum(const ParameterVector&, const ParameterVector& sent,
                  const ParameterVector& x) const override {
    return SumOf(sent) - SumOf(x);
  }
  bool carries_on() const override { return true; }

  void BeginEpoch(int, int64_t round) override {
    epoch_begin_ = round;
    begun_ = false;
  }

 private:
  ParameterVector last_;
  bool begun_ = false;
  int64_t epoch_begin_ = 0;
};

}  // namespace

std::unique_ptr<Algorithm> MakeD2(const AlgorithmOptions&, DType dtype,
                                  int64_t elements) {
  return std::make_unique<D2>(dtype, elements);
}

}  // namespace parley
