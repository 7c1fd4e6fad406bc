#include "common/topology/spectrum.h"

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"

namespace parley {
namespace {

// Of drawn matrices, for the estimate.
constexpr int64_t kEstimatedRounds = 200;
// What is left of the largest entry when a round makes all peers equal.
constexpr double kRounding = 1e-13;

using Matrix = Eigen::MatrixXd;

Eigen::VectorXd Eigenvalues(const Matrix& symmetric) {
  return Eigen::SelfAdjointEigenSolver<Matrix>(symmetric,
                                               Eigen::EigenvaluesOnly)
      .eigenvalues();
}

// Pᵀ of the product P of the rounds so far, less 11ᵀ/m. That is taken out in
// each round, so that its rounding does not drown what is left.
class Product {
 public:
  explicit Product(int64_t peers)
      : rest_(
            Matrix::Identity(peers, peers) -
            Matrix::Constant(peers, peers, 1.0 / static_cast<double>(peers))) {}

  const Matrix& rest() const { return rest_; }
  double Largest() const { return rest_.cwiseAbs().maxCoeff(); }

  // Returns the round's degree.
  int64_t Multiply(const Schedule& schedule, int64_t round) {
    Matrix next = Matrix::Zero(rest_.rows(), rest_.cols());
    size_t degree = 0;
    for (int64_t peer = 0; peer < schedule.peers(); ++peer) {
      const MixingRow row = schedule.Row(round, peer);
      for (const PeerWeight& weight : row.in) {
        next.col(peer) += weight.weight * rest_.col(weight.peer);
      }
      degree = std::max({degree, row.in.size() - 1, row.out.size() - 1});
    }
    const Eigen::VectorXd mean = next.rowwise().mean();
    rest_ = next.colwise() - mean;
    return static_cast<int64_t>(degree);
  }

  // σ₁ of the rest: σ₂ of the product.
  double SingularValue() const {
    const double largest = Largest();
    if (largest == 0) return 0;
    const Matrix scaled = rest_ / largest;
    const double square =
        Eigenvalues(scaled.transpose() * scaled)[scaled.rows() - 1];
    return largest * std::sqrt(std::max(0.0, square));
  }

 private:
  Matrix rest_;
};

}  // namespace

double Spectrum::RoundsTo(double share) const {
  if (exact_after > 0) return static_cast<double>(exact_after);
  if (contraction >= 1) return std::numeric_limits<double>::infinity();
  return std::ceil(std::log(share) / std::log(contraction));
}

absl::StatusOr<Spectrum> SpectrumOf(const Schedule& schedule) {
  const int64_t peers = schedule.peers();
  if (peers > kMostSpectrumPeers) {
    return absl::InvalidArgumentError(
        absl::StrCat("spectra are computed for at most ", kMostSpectrumPeers,
                     " peers, not ", peers));
  }
  Spectrum spectrum;
  const bool drawn = schedule.period() == 0;
  const int64_t rounds = drawn ? kEstimatedRounds : schedule.period();
  Product product(peers);
  for (int64_t round = 0; round < rounds; ++round) {
    const double before = product.Largest();
    const int64_t degree = product.Multiply(schedule, round);
    spectrum.max_degree = std::max(spectrum.max_degree, degree);
    spectrum.mean_degree +=
        static_cast<double>(degree) / static_cast<double>(rounds);
    if (spectrum.exact_after == 0 && product.Largest() <= kRounding * before) {
      spectrum.exact_after = round + 1;
    }
  }
  if (drawn) spectrum.estimated_rounds = rounds;
  if (schedule.period() == 1 && schedule.symmetric()) {
    const Eigen::VectorXd values = Eigenvalues(
        product.rest() +
        Matrix::Constant(peers, peers, 1.0 / static_cast<double>(peers)));
    spectrum.lambda_min = values[0];
    if (spectrum.exact_after == 0) {  // the last is 1
      spectrum.contraction = std::max(-values[0], values[peers - 2]);
    }
  } else if (spectrum.exact_after == 0) {
    spectrum.contraction =
        std::pow(product.SingularValue(), 1.0 / static_cast<double>(rounds));
  }
  return spectrum;
}

}  // namespace parley
