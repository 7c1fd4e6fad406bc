#include "common/analysis/prox_primal.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/analysis/direction.h"
#include "common/analysis/newton_system.h"

namespace parley {
namespace {

constexpr int64_t kMostSteps = 500;
constexpr double kRoughly = 1e-6;  // as near as rounding must let it get
// Of the linear system, relative: while w is far, and near the end.
constexpr double kFarResidual = 1e-2, kNearResidual = 1e-10;
constexpr double kNear = 0.1;  // margins that move by less: w is near
// Steps that may fail to halve the least so far: that is rounding.
constexpr int kMostIdle = 10;

}  // namespace

absl::StatusOr<int64_t> ProxPrimal(const SignedRows& rows, double log_lambda,
                                   double tolerance, absl::Span<double> v,
                                   absl::FunctionRef<bool()> keep_going) {
  const double unit = 1 + std::abs(log_lambda);
  const size_t d = v.size();
  std::vector<double> w(v.begin(), v.end()), down(d), damping(d);
  double least = HUGE_VAL;
  int idle = 0;
  bool near = false;
  for (int64_t steps = 1; steps <= kMostSteps; ++steps) {
    // All of it by e^−scale, which the step does not depend on.
    std::vector<double> slopes = rows.Margins(w);
    double scale = log_lambda;
    for (const double margin : slopes) scale = std::max(scale, -margin);
    for (double& slope : slopes) slope = std::exp(-slope - scale);
    const double lambda = std::exp(log_lambda - scale);
    for (size_t j = 0; j < d; ++j) {
      down[j] = lambda * (v[j] - w[j]);
      damping[j] = lambda;
    }
    for (int64_t n = 0; n < rows.rows(); ++n) {
      rows.Add(n, slopes[n], absl::MakeSpan(down));
    }
    const std::vector<double> step = SolveNewtonSystem(
        rows, slopes, damping, down,
        (near ? kNearResidual : kFarResidual) * Norm(down), keep_going);
    if (!keep_going()) return absl::CancelledError("the solve was cancelled");
    double most = 0;  // by which a margin changes
    for (const double change : rows.Margins(step)) {
      most = std::max(most, std::abs(change));
    }
    // By e^x <= 1 + x + (e − 2)·x² for |x| <= 1 the objective falls.
    const double share = 1 / std::max(1.0, most);
    for (size_t j = 0; j < d; ++j) w[j] += share * step[j];
    const double length = Norm(step);
    const bool exact = near;
    near = most <= kNear;
    if (!exact) continue;
    idle = length < least / 2 ? 0 : idle + 1;
    least = std::min(least, length);
    if (length <= tolerance * unit ||
        (idle >= kMostIdle && least <= kRoughly * unit)) {
      std::copy(w.begin(), w.end(), v.begin());
      return steps;
    }
    if (idle >= kMostIdle) {
      return absl::FailedPreconditionError(
          absl::StrCat("rounding hides the pull of ln λ = ", log_lambda));
    }
  }
  return absl::FailedPreconditionError(
      absl::StrCat(kMostSteps, " of Newton's steps were not enough"));
}

}  // namespace parley
