#include "common/analysis/logistic_minimum.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/analysis/direction.h"
#include "common/analysis/newton_system.h"
#include "common/kernels/kernels.h"

namespace parley {
namespace {

constexpr double kArmijo = 1e-4;  // the share of the promised fall to insist on
constexpr double kFirstDamping = 1e-3, kLeastDamping = 1e-12,
                 kMostDamping = 1e12;
constexpr double kClose = 1e-6;    // of a gradient, as a share of its scale
constexpr double kSettled = 1e-6;  // moves of margins at a minimum

double Dot(const std::vector<double>& a, const std::vector<double>& b) {
  return KernelsFor<double>().dot(static_cast<int64_t>(a.size()), a.data(),
                                  b.data());
}
void Axpy(double a, const std::vector<double>& x, std::vector<double>& y) {
  KernelsFor<double>().axpy(static_cast<int64_t>(x.size()), a, x.data(),
                            y.data());
}

// The loss around one w.
class Point {
 public:
  Point(const SignedRows& rows, absl::Span<const double> weights,
        std::vector<double> w)
      : rows_(&rows), w_(std::move(w)), gradient_(rows.features()) {
    const int64_t n = rows.rows();
    margins_ = rows.Margins(w_);
    std::vector<double> losses(n);
    slopes_.resize(n);
    curvatures_.resize(n);
    KernelsFor<double>().logistic(n, margins_.data(), losses.data(),
                                  slopes_.data());
    for (int64_t i = 0; i < n; ++i) {
      loss_ += weights[i] * losses[i];
      // Not by way of the slope, which rounds to −1 and its curvature to 0.
      const double e = std::exp(-std::abs(margins_[i]));
      curvatures_[i] = weights[i] * e / ((1 + e) * (1 + e));
      slopes_[i] *= -weights[i];  // from here on >= 0
      rows.Add(i, -slopes_[i], absl::MakeSpan(gradient_));
      scale_ += slopes_[i] * std::sqrt(rows.squared_norm(i));
    }
    norm_ = Norm(gradient_);
  }

  const std::vector<double>& w() const { return w_; }
  const std::vector<double>& gradient() const { return gradient_; }
  double loss() const { return loss_; }
  double norm() const { return norm_; }    // of the gradient
  double scale() const { return scale_; }  // what norm() is small against
  double margin_bound() const {
    return norm_ / std::accumulate(slopes_.begin(), slopes_.end(), 0.0);
  }
  bool separates() const {
    return *std::min_element(margins_.begin(), margins_.end()) > 0;
  }

  // −(H + damping·D)⁻¹·gradient, about: as well as the gradient is small. D is
  // the diagonal of what H is at most.
  // Less well where keep_going says no.
  std::vector<double> NewtonStep(double damping,
                                 absl::Span<const double> d_most,
                                 absl::FunctionRef<bool()> keep_going) const {
    std::vector<double> damped(w_.size()), down(w_.size());
    for (size_t j = 0; j < damped.size(); ++j) {
      damped[j] = damping * d_most[j];
      down[j] = -gradient_[j];
    }
    const double enough =
        norm_ * std::min(0.1, std::sqrt(norm_ / std::max(scale_, norm_)));
    return SolveNewtonSystem(*rows_, curvatures_, damped, down, enough,
                             keep_going);
  }

 private:
  const SignedRows* rows_;
  std::vector<double> w_;
  std::vector<double> gradient_, margins_, slopes_, curvatures_;
  double loss_ = 0, norm_ = 0, scale_ = 0;
};

absl::Status Check(const SignedRows& rows, absl::Span<const double> weights,
                   const LogisticMinimumOptions& options) {
  if (static_cast<int64_t>(weights.size()) != rows.rows()) {
    return absl::InvalidArgumentError(
        absl::StrCat(weights.size(), " weights for ", rows.rows(), " rows"));
  }
  for (size_t n = 0; n < weights.size(); ++n) {
    if (!(weights[n] > 0) || !std::isfinite(weights[n])) {
      return absl::InvalidArgumentError(
          absl::StrCat("the weight of row ", n, " is ", weights[n],
                       ": must be > 0 and finite"));
    }
  }
  if (!(options.tolerance > 0 && options.tolerance < 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tolerance is ", options.tolerance, ": must be > 0 and < 1"));
  }
  if (options.max_steps < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_steps is ", options.max_steps, ": must be >= 1"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LogisticMinimum> FindLogisticMinimum(
    const SignedRows& rows, absl::Span<const double> weights,
    const LogisticMinimumOptions& options,
    absl::FunctionRef<bool()> keep_going) {
  if (absl::Status s = Check(rows, weights, options); !s.ok()) return s;
  LogisticMinimum result;
  // The curvature of a loss is at most a quarter.
  std::vector<double> most(rows.features());
  for (int64_t n = 0; n < rows.rows(); ++n) {
    rows.AddSquares(n, weights[n] / 4, absl::MakeSpan(most));
  }
  Point point(rows, weights, std::vector<double>(rows.features()));
  double damping = kFirstDamping;
  const auto small = [&] {
    return point.norm() <= options.tolerance * point.scale();
  };
  const auto proven = [&] {
    return point.margin_bound() <= options.enough_bound;
  };
  while (!small() && !proven() && !point.separates() &&
         damping < kMostDamping && result.steps < options.max_steps) {
    if (!keep_going()) return absl::CancelledError("the search was cancelled");
    ++result.steps;
    const std::vector<double> step =
        point.NewtonStep(damping, most, keep_going);
    const double fall = Dot(point.gradient(), step);
    std::vector<double> w = point.w();
    Axpy(1, step, w);
    Point next(rows, weights, std::move(w));
    // Near the minimum the losses agree but for rounding, and the gradient
    // tells.
    const bool close = point.norm() <= kClose * point.scale();
    if (close ? next.norm() < point.norm()
              : next.loss() <= point.loss() + kArmijo * fall) {
      point = std::move(next);
      damping = damping > kLeastDamping ? damping / 10 : 0;
    } else {
      damping = std::max(10 * damping, kLeastDamping);
    }
  }
  if (point.separates()) {
    result.outcome = LogisticMinimum::Outcome::kNone;
  } else if (small()) {
    // A loss that falls for ever has small gradients too, but there the next
    // step moves some margin by about 1.
    const std::vector<double> moves =
        rows.Margins(point.NewtonStep(0, most, keep_going));
    if (!keep_going()) return absl::CancelledError("the search was cancelled");
    const bool settled = std::all_of(moves.begin(), moves.end(), [](double m) {
      return std::abs(m) <= kSettled;
    });
    if (settled) result.outcome = LogisticMinimum::Outcome::kFound;
  }
  result.loss = point.loss();
  result.gradient_norm = point.norm();
  result.margin_bound = point.margin_bound();
  result.w = point.w();
  return result;
}

}  // namespace parley
