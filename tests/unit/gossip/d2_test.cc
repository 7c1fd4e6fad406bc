// D² on running peers, against a loop over dense matrices that is written from
// its paper; and which mixing matrices it needs.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/gossip/matrix_bench.h"

namespace parley {
namespace {

constexpr int64_t kPeers = 16;
constexpr int64_t kElements = 5;
constexpr double kEta = 0.1;

// arXiv 1803.07068, algorithm 1.
class D2 {
 public:
  void Step(const Matrix& w, Matrix* x) {
    const Matrix g = Gradients(*x);
    const Matrix next =
        last_x_.size() == 0
            ? Matrix(w * (*x - kEta * g))
            : Matrix(w * (2 * *x - last_x_ - kEta * (g - last_g_)));
    last_x_ = *x;
    last_g_ = g;
    *x = next;
  }

 private:
  Matrix last_x_, last_g_;
};

// Of the sum of all peers' losses: Σ a_j ∘ x = Σ b_j.
Matrix Minimum() {
  const Matrix minus_b = Gradients(Matrix::Zero(kPeers, kElements));
  const Matrix a = Gradients(Matrix::Ones(kPeers, kElements)) - minus_b;
  const Eigen::RowVectorXd at =
      -minus_b.colwise().sum().cwiseQuotient(a.colwise().sum());
  return at.replicate(kPeers, 1);
}

double FromMinimum(const Matrix& x) { return (x - Minimum()).norm(); }

Matrix Plain(const char* topology) {
  return MixingMatrix(*MakeSchedule({.kind = topology}, kPeers), 1);
}

class D2Test : public testing::TestWithParam<const char*> {};

TEST_P(D2Test, PeersMixWithTheLazyMatrixAndReachTheMinimum) {
  D2 d2;
  Matrix end;
  Compare({.topology = {.kind = GetParam(), .lazy = true},
           .algorithm = {.kind = "d2"},
           .rounds = 400,
           .peers = kPeers},
          [&](const Matrix& w, Matrix* x) {
            const Matrix half =
                (Matrix::Identity(kPeers, kPeers) + Plain(GetParam())) / 2;
            EXPECT_LT((w - half).norm(), 1e-14);
            d2.Step(half, x);
            end = *x;
          });
  EXPECT_LT(FromMinimum(end), 1e-2);
  EXPECT_GT(FromMinimum(StartMatrix(kPeers, kElements)), 5);
}

INSTANTIATE_TEST_SUITE_P(All, D2Test,
                         testing::Values("ring", "hypercube", "torus", "grid"),
                         [](const auto& info) {
                           return std::string(info.param);
                         });

double SmallestEigenvalue(const Matrix& w) {
  return Eigen::SelfAdjointEigenSolver<Matrix>(w).eigenvalues()[0];
}

TEST(PlainD2, DivergesBelowAThird) {
  for (const char* topology : {"hypercube", "torus", "grid"}) {
    SCOPED_TRACE(topology);
    const Matrix w = Plain(topology);
    EXPECT_LT(SmallestEigenvalue(w), -0.4);
    D2 d2;
    Matrix x = StartMatrix(kPeers, kElements);
    for (int t = 0; t < 400; ++t) d2.Step(w, &x);
    EXPECT_GT(FromMinimum(x), 1e20);
  }
}

// λ = −1/3: z² − 2λz + λ has the root −1, of which half is in what alternates.
TEST(PlainD2, KeepsWhatAlternatesOnARing) {
  const Matrix w = Plain("ring");
  EXPECT_NEAR(SmallestEigenvalue(w), -1.0 / 3, 1e-12);
  Eigen::VectorXd last(kPeers);
  for (int64_t j = 0; j < kPeers; ++j) last[j] = j % 2 == 0 ? 1 : -1;
  Eigen::VectorXd x = w * last;
  for (int t = 2; t <= 400; ++t) {
    const Eigen::VectorXd next = w * (2 * x - last);
    last = x;
    x = next;
  }
  EXPECT_NEAR(x.cwiseAbs().minCoeff(), 0.5, 1e-12);
}

}  // namespace
}  // namespace parley
