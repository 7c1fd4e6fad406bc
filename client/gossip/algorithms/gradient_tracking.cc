// Gradient tracking (Nedić, Olshevsky and Shi 2017, DIGing, algorithm 1), with
// Δ in place of −η·gradient: y ← W·y + Δ − Δ of the last round, which sums up
// to what all peers' local steps do; x ← W·x + y. Sends x and y. When peers
// come or go the sums differ for good: all begin anew with y = Δ.
#include "client/gossip/algorithms/algorithms.h"
#include "client/gossip/vectors.h"

namespace parley {
namespace {

class GradientTracking final : public Algorithm {
 public:
  GradientTracking(DType dtype, int64_t elements)
      : y_(dtype, elements), last_(dtype, elements) {}

  void Prepare(int64_t, const ParameterVector& x, const ParameterVector& delta,
               ParameterVector* sent) override {
    const double before = SumOf(y_);
    AddScaled(1, delta, &y_);
    AddScaled(-1, last_, &y_);
    local_sum_ = 2 * SumOf(y_) - before;
    CopyInto(delta, &last_);
    const int64_t n = x.elements();
    CopyInto(x, sent);
    CopyRange(y_, 0, n, sent, n);
  }

  void Mix(ParameterVector*, const ParameterVector&, ParameterVector* mixed,
           ParameterVector* x) override {
    const int64_t n = x->elements();
    AddScaled(1, y_, x);
    AddRange(*mixed, 0, n, x, 0);
    AddRange(*mixed, n, 2 * n, &y_, 0);
  }

  // What y missed would have gone into x in each round since, or until y began
  // anew.
  void MixLate(int, int64_t round, const ParameterVector& missed,
               int64_t rounds, ParameterVector* x) override {
    const int64_t n = x->elements();
    AddRange(missed, 0, n, x, 0);
    if (round < epoch_begin_) {
      rounds = epoch_begin_ - round;
    } else {
      AddRange(missed, n, 2 * n, &y_, 0);
    }
    ParameterVector y(x->dtype(), n);
    CopyRange(missed, n, 2 * n, &y, 0);
    AddScaled(static_cast<double>(rounds - 1), y, x);
  }

  double SumBesideX() const override { return SumOf(y_); }
  double LocalSum(const ParameterVector&, const ParameterVector&,
                  const ParameterVector&) const override {
    return local_sum_;
  }
  bool carries_on() const override { return true; }

  void BeginEpoch(int, int64_t round) override {
    epoch_begin_ = round;
    SetZero(&y_);
    SetZero(&last_);
  }

 private:
  ParameterVector y_;
  ParameterVector last_;  // Δ of the last round
  double local_sum_ = 0;  // of y, as it grew, and of x, which takes it in
  int64_t epoch_begin_ = 0;
};

}  // namespace

std::unique_ptr<Algorithm> MakeGradientTracking(const AlgorithmOptions&,
                                                DType dtype, int64_t elements) {
  return std::make_unique<GradientTracking>(dtype, elements);
}

}  // namespace parley
