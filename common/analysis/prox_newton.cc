#include "common/analysis/prox_newton.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <vector>

#include "common/analysis/row_products.h"

namespace parley {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr int kMostSteps = 200;
constexpr int kMostHalvings = 8;
// What an a_n that matters may lose or gain in a step, as a share of itself.
constexpr double kShrink = 0.9, kGrow = 4;
constexpr int64_t kMostNumbers = 1 << 24;  // of the rows that matter: 128 MiB
constexpr int64_t kMostUnknowns = 2048;    // of the linear system

// Rows of less a_n·‖z_n‖² change the system by less than rounding does.
constexpr double kMatters = 1e-15;

constexpr double kRounding = 1e-13;  // of the objective, relative

// Below it a_n may change by any factor without w moving by much.
constexpr double kSmall = 1e-6;

struct Point {
  std::vector<double> residuals;  // r_n; 0 where a_n is
  double gap = 0;                 // infinite, where it overflows
  double dual = 0;                // the dual objective, to be made small
};

Point PointAt(const SignedRows& rows, double log_lambda,
              absl::Span<const double> v, absl::Span<const double> a) {
  std::vector<double> w = CombineRows(rows, a);
  Point point;
  for (size_t j = 0; j < w.size(); ++j) {
    point.dual += (w[j] / 2 + v[j]) * w[j];
    w[j] += v[j];
  }
  point.residuals = rows.Margins(w);
  for (int64_t n = 0; n < rows.rows(); ++n) {
    double& r = point.residuals[n];
    const double log_a = a[n] > 0 ? std::log(a[n]) : 0;
    r = a[n] > 0 ? r + log_a + log_lambda : 0;
    point.gap += a[n] * (std::expm1(-r) + r);
    point.dual += a[n] * (log_a + log_lambda - 1);
  }
  return point;
}

// What w changes by in the step from `a`, by the system of fewer unknowns:
// with A = diag(a) that is −Zᵀ·√A·(I + √A·Z·Zᵀ·√A)⁻¹·√A·r, or
// −(I + Zᵀ·A·Z)⁻¹·Zᵀ·A·r. Empty: there are too many.
std::vector<double> StepOfW(const SignedRows& rows, absl::Span<const double> a,
                            absl::Span<const double> residuals) {
  std::vector<int64_t> active;
  for (int64_t n = 0; n < rows.rows(); ++n) {
    if (a[n] * rows.squared_norm(n) > kMatters) active.push_back(n);
  }
  const int64_t count = static_cast<int64_t>(active.size());
  const int64_t features = rows.features();
  const int64_t unknowns = std::min(count, features);
  if (count == 0 || unknowns > kMostUnknowns) return {};
  MatrixXd system = MatrixXd::Identity(unknowns, unknowns);
  std::vector<double> step(features);
  Eigen::Map<VectorXd> change(step.data(), features);
  if (count > features) {
    std::vector<double> weights(rows.rows());
    for (const int64_t n : active) {
      weights[n] = a[n];
      rows.Add(n, -a[n] * residuals[n], absl::MakeSpan(step));
    }
    rows.AddOuterProducts(weights,
                          absl::MakeSpan(system.data(), system.size()));
    change = Eigen::LLT<MatrixXd>(system).solve(change);
    return step;
  }
  if (count > kMostNumbers / features) return {};
  MatrixXd z = MatrixXd::Zero(features, count);  // √a_n·z_n a column
  VectorXd r(count);                             // √a_n·r_n
  for (int64_t i = 0; i < count; ++i) {
    const double root = std::sqrt(a[active[i]]);
    rows.Add(active[i], root, absl::MakeSpan(z.col(i).data(), features));
    r[i] = root * residuals[active[i]];
  }
  system.selfadjointView<Eigen::Lower>().rankUpdate(z.transpose());
  change.noalias() = -z * Eigen::LLT<MatrixXd>(system).solve(r);
  return step;
}

}  // namespace

void ProxNewton(const SignedRows& rows, double log_lambda,
                absl::Span<const double> v, absl::Span<double> a) {
  std::vector<double> next(a.begin(), a.end());
  Point here = PointAt(rows, log_lambda, v, a);
  for (int i = 0; i < kMostSteps; ++i) {
    const std::vector<double> step = StepOfW(rows, a, here.residuals);
    if (step.empty()) return;
    std::vector<double> change = rows.Margins(step);  // of a_n, as a share
    double share = 1;
    for (int64_t n = 0; n < rows.rows(); ++n) {
      change[n] = a[n] > 0 ? -(change[n] + here.residuals[n]) : 0;
      if (a[n] * rows.squared_norm(n) > kSmall) {
        share = std::min(
            share, (change[n] < 0 ? kShrink : kGrow) / std::abs(change[n]));
      }
    }
    Point there;
    for (int halvings = 0;; ++halvings) {
      for (int64_t n = 0; n < rows.rows(); ++n) {
        const double x = share * change[n];
        const bool small = a[n] * rows.squared_norm(n) <= kSmall;
        next[n] = a[n] * (small ? std::exp(std::min(x, kGrow)) : 1 + x);
      }
      there = PointAt(rows, log_lambda, v, next);
      if (there.gap < here.gap / 2 ||
          there.dual < here.dual - kRounding * std::abs(here.dual)) {
        break;
      }
      if (halvings == kMostHalvings) return;
      share /= 2;
    }
    std::copy(next.begin(), next.end(), a.begin());
    here = std::move(there);
  }
}

}  // namespace parley
