#include "common/analysis/exact_prox.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/analysis/logistic_minimum.h"
#include "common/analysis/prox_newton.h"
#include "common/analysis/prox_primal.h"
#include "common/base/status_macros.h"

namespace parley {
namespace {

// Rounding errors of a_n's changes add up: from scratch so often.
constexpr int64_t kEpochsBetweenResets = 64;

// After so many passes Newton's method has a try, and again whenever they have
// doubled.
constexpr int64_t kEpochsBeforeNewton = 32;

// A margin below this share of the largest ‖z‖ counts as none.
constexpr double kSmallestMargin = 1e-9;

// Below it e^ln λ is lost beside losses of the order of 1.
constexpr double kLeastPrimalLogLambda = -10;

constexpr double kNoWeight = 1e-300;  // beside 1

constexpr int64_t kLeastEpochs = 1000;

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
  if (!margin_bound_) {
    // Of the rows alone, so that what comes out later depends on v alone.
    for (int64_t n = 0; n < rows_.rows(); ++n) {
      no_margin_ = std::max(no_margin_,
                            kSmallestMargin * std::sqrt(rows_.squared_norm(n)));
    }
    // A row of zeros pulls nowhere, and must prove nothing.
    std::vector<double> weights(rows_.rows());
    for (int64_t n = 0; n < rows_.rows(); ++n) {
      weights[n] = rows_.squared_norm(n) > 0 ? 1 : kNoWeight;
    }
    PARLEY_ASSIGN_OR_RETURN(
        const LogisticMinimum minimum,
        FindLogisticMinimum(rows_, weights, {.enough_bound = no_margin_},
                            keep_going));
    margin_bound_ = minimum.margin_bound;
  }
  return *margin_bound_ < no_margin_ ? SolvePrimal(v, keep_going)
                                     : SolveDual(v, keep_going);
}

absl::Status ExactProx::SolvePrimal(absl::Span<double> v,
                                    absl::FunctionRef<bool()> keep_going) {
  if (options_.log_lambda >= kLeastPrimalLogLambda) {
    const auto steps = ProxPrimal(rows_, options_.log_lambda,
                                  options_.tolerance, v, keep_going);
    if (steps.ok()) epochs_ = *steps;
    if (!absl::IsFailedPrecondition(steps.status())) return steps.status();
  }
  return absl::FailedPreconditionError(absl::StrFormat(
      "no hyperplane through the origin separates this client's rows%s, and "
      "with ln λ = %g double precision cannot solve the exact local problem of "
      "such rows: take local steps, or a log_lambda nearer to 0 (-5 or so)",
      *margin_bound_ > 0
          ? absl::StrFormat(" (by a margin above %.1e)", *margin_bound_)
          : "",
      options_.log_lambda));
}

absl::Status ExactProx::SolveDual(absl::Span<double> v,
                                  absl::FunctionRef<bool()> keep_going) {
  const double enough =
      options_.tolerance * (1 + std::abs(options_.log_lambda));
  std::fill(a_.begin(), a_.end(), 0.0);
  int64_t newton_at = kEpochsBeforeNewton;
  const int64_t most_epochs = std::min(
      options_.max_epochs,
      std::max(kLeastEpochs, static_cast<int64_t>(options_.max_work /
                                                  products_.pass_work())));
  for (epochs_ = 0; epochs_ < most_epochs; ++epochs_) {
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
  return absl::ResourceExhaustedError(absl::StrCat(
      "the exact local problem of ", rows_.rows(), " rows, exact_prox with ln ",
      "λ = ", options_.log_lambda, ", was not solved to ", options_.tolerance,
      " in ", most_epochs,
      " passes over them: they are close to where nothing "
      "separates them (none has a margin above ",
      *margin_bound_, "); a log_lambda nearer to 0 makes it easier"));
}

}  // namespace parley
