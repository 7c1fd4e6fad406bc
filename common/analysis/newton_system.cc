#include "common/analysis/newton_system.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <cstdint>
#include <optional>

namespace parley {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr int kMostSteps = 1000;
// A factor of the matrix costs about as much as so many steps.
constexpr int kStepsBeforeFactor = 40;
constexpr int64_t kMostFactorFeatures = 1024;
// Of the diagonal, added to it before the factor is made: where columns are
// alike the matrix has none, and rounding alone would say what comes out.
constexpr double kRidge = 1e-14;

Eigen::Map<const VectorXd> AsVector(absl::Span<const double> x) {
  return {x.data(), static_cast<Eigen::Index>(x.size())};
}

class System {
 public:
  System(const SignedRows& rows, absl::Span<const double> c,
         absl::Span<const double> d)
      : rows_(rows), c_(c), d_(d), diagonal_(AsVector(d)) {
    for (int64_t n = 0; n < rows.rows(); ++n) {
      if (c[n] != 0) rows.AddSquares(n, c[n], SpanOf(diagonal_));
    }
  }

  void Multiply(const VectorXd& x, VectorXd& out) const {
    out = AsVector(d_).cwiseProduct(x);
    const absl::Span<const double> at(x.data(), x.size());
    for (int64_t n = 0; n < rows_.rows(); ++n) {
      if (c_[n] != 0) rows_.Add(n, c_[n] * rows_.Dot(n, at), SpanOf(out));
    }
  }

  // From here on Precondition is by a factor, where there is one.
  void Factor() {
    const int64_t features = rows_.features();
    MatrixXd matrix = MatrixXd::Zero(features, features);
    rows_.AddOuterProducts(c_, absl::MakeSpan(matrix.data(), matrix.size()));
    for (int64_t j = 0; j < features; ++j) {
      matrix(j, j) =
          diagonal_[j] > 0 ? matrix(j, j) + d_[j] + kRidge * diagonal_[j] : 1;
    }
    factor_.emplace(std::move(matrix));
    if (factor_->info() != Eigen::Success) factor_.reset();
  }

  VectorXd Precondition(const VectorXd& residual) const {
    if (factor_) return factor_->solve(residual);
    return (diagonal_.array() > 0)
        .select(residual.array() / diagonal_.array(), 0)
        .matrix();
  }

 private:
  static absl::Span<double> SpanOf(VectorXd& x) {
    return absl::MakeSpan(x.data(), x.size());
  }

  const SignedRows& rows_;
  const absl::Span<const double> c_, d_;
  VectorXd diagonal_;
  std::optional<Eigen::LLT<MatrixXd>> factor_;
};

}  // namespace

std::vector<double> SolveNewtonSystem(const SignedRows& rows,
                                      absl::Span<const double> c,
                                      absl::Span<const double> d,
                                      absl::Span<const double> b, double enough,
                                      absl::FunctionRef<bool()> keep_going) {
  System system(rows, c, d);
  std::vector<double> result(b.size());
  Eigen::Map<VectorXd> x(result.data(), static_cast<Eigen::Index>(b.size()));
  VectorXd residual = AsVector(b), z = system.Precondition(residual);
  VectorXd p = z, product(residual.size());
  double rho = residual.dot(z);
  for (int i = 0; i < kMostSteps && residual.norm() > enough; ++i) {
    if (!keep_going()) break;
    if (i == kStepsBeforeFactor && rows.features() <= kMostFactorFeatures) {
      system.Factor();
      p = z = system.Precondition(residual);
      rho = residual.dot(z);
    }
    system.Multiply(p, product);
    const double curvature = p.dot(product);
    if (!(curvature > 0)) break;  // flat in floating point
    const double length = rho / curvature;
    x += length * p;
    residual -= length * product;
    z = system.Precondition(residual);
    const double next = residual.dot(z);
    p = z + next / rho * p;
    rho = next;
  }
  return result;
}

}  // namespace parley
