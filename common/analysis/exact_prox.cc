#include "common/analysis/exact_prox.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/analysis/prox_newton.h"

namespace parley {
namespace {

// Rounding errors of a_n's changes add up: from scratch so often.
constexpr int64_t kEpochsBetweenResets = 64;

// After so many passes Newton's method has a try, and again whenever they have
// doubled.
constexpr int64_t kEpochsBeforeNewton = 32;

}  // namespace

double WrightOmega(double x) {
  // Below, ω = e^x but for a factor of 1 + e^x.
  if (x < -36) return std::exp(x);
  // Newton's method on ω + ln ω − x, whose steps keep ω > 0 from below.
  double omega = x > 1 ? x - std::log(x) : std::exp(std::min(x, 0.0) - 1);
  for (int i = 0; i < 50; ++i) {
    const double next = omega * (1 + x - std::log(omega)) / (1 + omega);
    if (std::abs(next - omega) <= 1e-16 * omega) return next;
    omega = next;
  }
  return omega;
}

ExactProx::ExactProx(SignedRows rows, const ExactProxOptions& options)
    : rows_(std::move(rows)),
      options_(options),
      products_(rows_),
      a_(rows_.rows()) {}

absl::Status ExactProx::Solve(absl::Span<double> v,
                              absl::FunctionRef<bool()> keep_going) {
  const double enough =
      options_.tolerance * (1 + std::abs(options_.log_lambda));
  std::fill(a_.begin(), a_.end(), 0.0);
  int64_t newton_at = kEpochsBeforeNewton;
  for (epochs_ = 0; epochs_ < options_.max_epochs; ++epochs_) {
    if (epochs_ == newton_at) {
      ProxNewton(rows_, options_.log_lambda, v, absl::MakeSpan(a_));
      newton_at *= 2;
      products_.Reset(a_, v);
    } else if (epochs_ % kEpochsBetweenResets == 0) {
      products_.Reset(a_, v);
    }
    double moved = 0;  // the most by which a row moved its own margin
    for (int64_t n = 0; n < rows_.rows(); ++n) {
      const double q = rows_.squared_norm(n);
      if (q == 0) continue;
      const double others = products_.Of(n) - a_[n] * q;
      // With t = log a: t + q·e^t = −ln λ − others, so q·e^t is ω.
      const double next =
          WrightOmega(std::log(q) - options_.log_lambda - others) / q;
      const double change = next - a_[n];
      if (change == 0) continue;
      products_.Change(n, change);
      a_[n] = next;
      moved = std::max(moved, std::abs(change) * q);
    }
    if (moved <= enough) {
      const std::vector<double> step = CombineRows(rows_, a_);
      for (size_t j = 0; j < v.size(); ++j) v[j] += step[j];
      return absl::OkStatus();
    }
    if (!keep_going()) return absl::CancelledError("the solve was cancelled");
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("the local problem was not solved to ", options_.tolerance,
                   " in ", options_.max_epochs, " passes over its rows"));
}

}  // namespace parley
