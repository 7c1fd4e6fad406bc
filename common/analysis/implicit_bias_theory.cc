#include "common/analysis/implicit_bias_theory.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/analysis/direction.h"
#include "common/base/status_macros.h"

namespace parley {
namespace {

constexpr double kLn10 = 2.302585092994046;
constexpr size_t kFewestPoints = 5;
// Support vectors × features, which lie in memory as they are.
constexpr int64_t kMaxSupportNumbers = 20'000'000;
// A dual below this share of the largest counts as none.
constexpr double kSmallDual = 1e-6;

// A row as numbers.
Eigen::VectorXd RowOf(const SignedRows& rows, int64_t n) {
  Eigen::VectorXd row = Eigen::VectorXd::Zero(rows.features());
  rows.Add(n, 1, absl::MakeSpan(row.data(), row.size()));
  return row;
}

}  // namespace

absl::StatusOr<DirectionFits> FitDirection(const DirectionCurve& curve,
                                           double margin) {
  DirectionFits fits;
  if (curve.t.empty()) {
    return absl::FailedPreconditionError("nothing was measured");
  }
  const double last = curve.t.back();
  std::vector<double> log_t, inverse_gap, norm;
  bool in_last = false;
  for (size_t i = 0; i < curve.t.size(); ++i) {
    if (!(curve.t[i] >= last / 100 * (1 - 1e-9)) || !(curve.gap[i] > 0)) {
      continue;
    }
    if (log_t.empty()) fits.first = static_cast<int64_t>(i);
    log_t.push_back(std::log(curve.t[i]));
    inverse_gap.push_back(1 / curve.gap[i]);
    norm.push_back(curve.norm[i]);
    if (curve.t[i] < last / 10 * (1 - 1e-9)) continue;
    const double loss =
        std::exp(curve.log_loss[i] + log_t.back() + 2 * std::log(margin));
    fits.loss_least = in_last ? std::min(fits.loss_least, loss) : loss;
    fits.loss_most = in_last ? std::max(fits.loss_most, loss) : loss;
    fits.loss_last = loss;
    in_last = true;
  }
  if (log_t.size() < kFewestPoints ||
      log_t.back() - log_t.front() < kLn10 / 2) {
    return absl::FailedPreconditionError(
        "too few rounds: a line needs 5 points in half a factor of ten");
  }
  const auto fit = [&](const std::vector<double>& y) {
    return FitLine(log_t, y);
  };
  PARLEY_ASSIGN_OR_RETURN(fits.inverse_gap, fit(inverse_gap));
  PARLEY_ASSIGN_OR_RETURN(fits.norm, fit(norm));
  if (!(fits.norm.slope != 0)) {
    return absl::FailedPreconditionError("the model stands still");
  }
  return fits;
}

absl::StatusOr<LimitOffset> FindLimitOffset(const SignedRows& rows,
                                            absl::Span<const double> weights,
                                            const MaxMargin& max_margin) {
  if (max_margin.verdict != Separability::kSeparable) {
    return absl::FailedPreconditionError("nothing separates the rows");
  }
  const std::vector<double>& alpha = max_margin.alpha;
  const double largest = *std::max_element(alpha.begin(), alpha.end());
  std::vector<int64_t> support;
  const std::vector<double> margins = rows.Margins(max_margin.w);
  for (int64_t n = 0; n < rows.rows(); ++n) {
    if (alpha[n] > kSmallDual * largest) {
      support.push_back(n);
    } else if (margins[n] < 1 + 1e-6) {
      return absl::FailedPreconditionError(absl::StrCat(
          "row ", n, " lies on the margin with a dual of next to 0"));
    }
  }
  const int64_t count = static_cast<int64_t>(support.size());
  if (count > kMaxSupportNumbers / rows.features()) {
    return absl::FailedPreconditionError(
        absl::StrCat(count, " support vectors are too many to solve for"));
  }
  const auto map = [](const std::vector<double>& v) {
    return Eigen::Map<const Eigen::VectorXd>(v.data(), v.size());
  };
  Eigen::MatrixXd z(rows.features(), count);
  Eigen::VectorXd target(count);
  for (int64_t k = 0; k < count; ++k) {
    z.col(k) = RowOf(rows, support[k]);
    target[k] = std::log(weights[support[k]] / alpha[support[k]]);
  }
  // The w̃ of least norm with z_k·w̃ = target_k.
  const Eigen::MatrixXd gram = z.transpose() * z;
  const Eigen::LDLT<Eigen::MatrixXd> solve(gram);
  const Eigen::VectorXd pivots = solve.vectorD();
  if (solve.info() != Eigen::Success ||
      !(pivots.minCoeff() > 1e-10 * pivots.maxCoeff())) {
    return absl::FailedPreconditionError(
        "the support vectors depend on each other: the duals are not unique");
  }
  const Eigen::VectorXd offset = z * solve.solve(target);
  const Eigen::VectorXd unit = map(max_margin.w).normalized();
  const double across = (offset - offset.dot(unit) * unit).norm();
  if (!(across > 1e-9 * offset.norm())) {
    return absl::FailedPreconditionError(
        "as far as the support vectors tell, the offset lies along the limit");
  }
  LimitOffset result;
  result.inverse_gap_slope = 1 / (max_margin.margin * across);
  result.spans_rows = true;
  for (int64_t n = 0; n < rows.rows() && result.spans_rows; ++n) {
    const Eigen::VectorXd row = RowOf(rows, n);
    const Eigen::VectorXd beside = row - z * solve.solve(z.transpose() * row);
    result.spans_rows = beside.norm() <= 1e-6 * row.norm();
  }
  return result;
}

absl::StatusOr<std::vector<double>> FirstOrderBias(
    absl::Span<const SignedRows> clients, absl::Span<const double> shares,
    absl::Span<const double> minimum) {
  const int64_t features = static_cast<int64_t>(minimum.size());
  if (features > kMaxBiasFeatures) {
    return absl::FailedPreconditionError(
        absl::StrCat("more than ", kMaxBiasFeatures,
                     " features: the Hessian would take too long"));
  }
  Eigen::MatrixXd hessian = Eigen::MatrixXd::Zero(features, features);
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(features);
  for (size_t i = 0; i < clients.size(); ++i) {
    const SignedRows& rows = clients[i];
    const double weight = 1 / static_cast<double>(rows.rows());
    const std::vector<double> margins = rows.Margins(minimum);
    Eigen::MatrixXd own = Eigen::MatrixXd::Zero(features, features);
    Eigen::VectorXd gradient = Eigen::VectorXd::Zero(features);
    for (int64_t n = 0; n < rows.rows(); ++n) {
      // log(1 + exp(−m)): slope −σ(−m), curvature σ(m)·σ(−m).
      const double slope = 1 / (1 + std::exp(margins[n]));
      const Eigen::VectorXd z = RowOf(rows, n);
      gradient -= weight * slope * z;
      own.selfadjointView<Eigen::Lower>().rankUpdate(
          z, weight * slope * (1 - slope));
    }
    own = own.selfadjointView<Eigen::Lower>();
    hessian += shares[i] * own;
    sum += shares[i] * (own * gradient);
  }
  const Eigen::LDLT<Eigen::MatrixXd> solve(hessian);
  const Eigen::VectorXd pivots = solve.vectorD();
  if (solve.info() != Eigen::Success ||
      !(pivots.minCoeff() > 1e-14 * pivots.maxCoeff())) {
    return absl::FailedPreconditionError(
        "the Hessian at the minimum is singular");
  }
  const Eigen::VectorXd bias = solve.solve(sum);
  return std::vector<double>(bias.data(), bias.data() + bias.size());
}

}  // namespace parley
