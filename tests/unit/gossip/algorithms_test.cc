// Each algorithm on running peers, against a loop over dense matrices that is
// written from its paper.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "tests/unit/gossip/matrix_bench.h"

namespace parley {
namespace {

constexpr double kEta = 0.1;  // MatrixRun's

void AwcStep(const Matrix& w, Matrix* x) {
  const Matrix g = Gradients(*x);
  *x = w * *x - kEta * g;
}
void AtcStep(const Matrix& w, Matrix* x) {
  const Matrix g = Gradients(*x);
  *x = w * (*x - kEta * g);
}

// All that there are; of 12 peers, but for the hypercube.
std::vector<TopologyOptions> AllTopologies() {
  std::vector<TopologyOptions> all = {
      {.kind = "ring", .directed = true},
      {.kind = "erdos_renyi", .probability = 0.4},
      {.kind = "random_regular", .degree = 3},
      {.kind = "small_world", .rewire = 0.3},
      {.kind = "edges",
       .edges = {{0, 1},
                 {1, 2},
                 {2, 3},
                 {3, 4},
                 {4, 5},
                 {5, 6},
                 {6, 7},
                 {7, 8},
                 {8, 9},
                 {9, 10},
                 {10, 11},
                 {2, 11},
                 {2, 7},
                 {0, 5}}},
      {.kind = "base", .k = 2}};
  for (const absl::string_view kind : TopologyKinds()) {
    const auto has = [kind](const auto& one) { return one.kind == kind; };
    if (kind != "ring" && kind != "base" && absl::c_any_of(all, has)) continue;
    all.push_back({.kind = std::string(kind)});
  }
  return all;
}

void CompareOnAll(const AlgorithmOptions& algorithm, const Reference& step) {
  for (const TopologyOptions& topology : AllTopologies()) {
    SCOPED_TRACE(topology.kind);
    Compare({.topology = topology,
             .algorithm = algorithm,
             .peers = topology.kind == "hypercube" ? 16 : 12},
            step);
  }
}

TEST(Algorithms, DSgdAdaptsWhileCommunicating) { CompareOnAll({}, AwcStep); }

TEST(Algorithms, DSgdAdaptsThenCombines) {
  CompareOnAll({.combine = true}, AtcStep);
}

TEST(Algorithms, DSgdWithHeavyBall) {
  Matrix v = Matrix::Zero(12, 5);
  Compare({.topology = {.kind = "ring"},
           .algorithm = {.momentum = 0.8},
           .rounds = 30},
          [&](const Matrix& w, Matrix* x) {
            v = 0.8 * v + Gradients(*x);
            *x = w * *x - kEta * v;
          });
  v.setZero();
  Compare({.topology = {.kind = "one_peer_exponential"},
           .algorithm = {.combine = true, .momentum = 0.8},
           .rounds = 30},
          [&](const Matrix& w, Matrix* x) {
            v = 0.8 * v + Gradients(*x);
            *x = w * (*x - kEta * v);
          });
}

// arXiv 2104.11981, algorithm 2.
TEST(Algorithms, DecentLam) {
  Matrix m = Matrix::Zero(12, 5);
  Compare({.topology = {.kind = "ring"},
           .algorithm = {.kind = "decent_lam", .momentum = 0.9},
           .rounds = 40},
          [&](const Matrix& w, Matrix* x) {
            const Matrix g = (*x - w * (*x - kEta * Gradients(*x))) / kEta;
            m = 0.9 * m + g;
            *x -= kEta * m;
          });
}

TEST(Algorithms, GradientTrackingTracksTheMeanGradient) {
  for (const char* topology : {"ring", "base", "small_world"}) {
    SCOPED_TRACE(topology);
    Matrix y, last;
    Compare({.topology = {.kind = topology},
             .algorithm = {.kind = "gradient_tracking"},
             .rounds = 40},
            [&](const Matrix& w, Matrix* x) {
              const Matrix g = Gradients(*x);
              y = y.size() == 0 ? g : Matrix(y + g - last);
              last = g;
              *x = w * *x - kEta * y;
              y = w * y;
            });
  }
}

// Assran et al. 2019, algorithm 1, with the weights that go out.
TEST(Algorithms, PushSum) {
  for (const TopologyOptions& topology : AllTopologies()) {
    SCOPED_TRACE(topology.kind);
    const int64_t peers = topology.kind == "hypercube" ? 16 : 12;
    Matrix u = StartMatrix(peers, 5);
    Eigen::VectorXd omega = Eigen::VectorXd::Ones(peers);
    Compare({.topology = topology,
             .algorithm = {.kind = "push_sum"},
             .rounds = 30,
             .peers = peers},
            [&](const Matrix& w, Matrix* z) {
              u = w * (u - kEta * Gradients(*z));
              omega = w * omega;
              *z = omega.cwiseInverse().asDiagonal() * u;
            });
  }
}

TEST(Algorithms, ExactAverageIsOneModel) {
  Compare({.topology = {.kind = "ring"},
           .algorithm = {.kind = "exact_average"},
           .rounds = 10},
          [](const Matrix&, Matrix* x) {
            const Matrix u = *x - kEta * Gradients(*x);
            *x = u.colwise().mean().replicate(x->rows(), 1);
          });
}

TEST(Algorithms, GossipPgaAveragesEverySoManyRounds) {
  Compare({.topology = {.kind = "ring"}, .average_every = 4}, AwcStep);
  Compare({.topology = {.kind = "one_peer_exponential"},
           .algorithm = {.combine = true},
           .average_every = 3},
          AtcStep);
}

}  // namespace
}  // namespace parley
