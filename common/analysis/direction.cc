#include "common/analysis/direction.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "common/base/log.h"

namespace parley {
namespace {

// log(log(1 + exp(−m))).
double LogSoftplus(double m) {
  // Beyond it log(1 + x) = x in double.
  if (m > 37) return -m;
  return std::log(std::max(-m, 0.0) + std::log1p(std::exp(-std::abs(m))));
}

}  // namespace

double Norm(absl::Span<const double> w) {
  double largest = 0;
  for (const double x : w) largest = std::max(largest, std::abs(x));
  if (largest == 0 || !std::isfinite(largest)) return largest;
  double sum = 0;
  for (const double x : w) sum += (x / largest) * (x / largest);
  return largest * std::sqrt(sum);
}

double DirectionGap(absl::Span<const double> a, absl::Span<const double> b) {
  PARLEY_CHECK(a.size() == b.size());
  const double norm_a = Norm(a), norm_b = Norm(b);
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = a[i] / norm_a - b[i] / norm_b;
    sum += d * d;
  }
  return std::sqrt(sum);
}

double Distance(absl::Span<const double> w, absl::Span<const double> to) {
  PARLEY_CHECK(w.size() == to.size());
  std::vector<double> difference(w.begin(), w.end());
  for (size_t i = 0; i < w.size(); ++i) difference[i] -= to[i];
  return Norm(difference) / Norm(to);
}

double LogLoss(MarginLoss loss, absl::Span<const double> margins,
               absl::Span<const double> weights) {
  PARLEY_CHECK(margins.size() == weights.size());
  const auto term = [&](size_t n) {
    const double m = margins[n];
    return std::log(weights[n]) +
           (loss == MarginLoss::kExponential ? -m : LogSoftplus(m));
  };
  double largest = -std::numeric_limits<double>::infinity();
  for (size_t n = 0; n < margins.size(); ++n) {
    largest = std::max(largest, term(n));
  }
  if (!std::isfinite(largest)) return largest;
  double sum = 0;
  for (size_t n = 0; n < margins.size(); ++n) {
    sum += std::exp(term(n) - largest);
  }
  return largest + std::log(sum);
}

}  // namespace parley
