// Running peers against dense matrices: the mixing matrix of a schedule, and
// the loop over all peers' rows that an algorithm's paper writes.
#ifndef PARLEY_TESTS_UNIT_GOSSIP_MATRIX_BENCH_H_
#define PARLEY_TESTS_UNIT_GOSSIP_MATRIX_BENCH_H_

#include <Eigen/Dense>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "tests/support/inline_executor.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/gossip_bench.h"

namespace parley {

// Row j is peer j's.
using Matrix = Eigen::MatrixXd;

// W of a round, from 1, by what each peer hears.
inline Matrix MixingMatrix(const Schedule& schedule, int64_t round) {
  Matrix w = Matrix::Zero(schedule.peers(), schedule.peers());
  for (int64_t j = 0; j < schedule.peers(); ++j) {
    for (const PeerWeight& p : schedule.Row(round - 1, j).in) {
      w(j, p.peer) = p.weight;
    }
  }
  return w;
}

inline Vector RowOf(const Matrix& x, int64_t j) {
  Vector row(x.cols());
  for (int64_t i = 0; i < x.cols(); ++i) row[i] = x(j, i);
  return row;
}

// What peers of BenchOptions begin with.
inline Matrix StartMatrix(int64_t peers, int64_t elements) {
  Matrix x(peers, elements);
  for (int j = 0; j < peers; ++j) {
    const Vector v = RandomVector(7, j, elements);
    for (int64_t i = 0; i < elements; ++i) x(j, i) = v[i];
  }
  return x;
}

// Peer j's gradient at x: a_j ∘ x − b_j, all different.
inline Vector GradientAt(int peer, const Vector& x) {
  Vector g(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double a = 0.5 + 0.1 * static_cast<double>((peer * 7 + i * 3) % 10);
    const double b = static_cast<double>((peer * 5 + i) % 11) - 5;
    g[i] = a * x[i] - b;
  }
  return g;
}
inline Matrix Gradients(const Matrix& x) {
  Matrix g(x.rows(), x.cols());
  for (int j = 0; j < x.rows(); ++j) {
    const Vector row = GradientAt(j, RowOf(x, j));
    for (int64_t i = 0; i < x.cols(); ++i) g(j, i) = row[i];
  }
  return g;
}

// From x and W of a round to the next x.
using Reference = std::function<void(const Matrix& w, Matrix* x)>;

struct MatrixRun {
  TopologyOptions topology;
  AlgorithmOptions algorithm = {};
  int64_t rounds = 20;
  int64_t peers = 12;
  int64_t average_every = 0;
  int64_t elements = 5;
  double eta = 0.1;
};

// Peers that take steps −η·g, round by round.
inline void Compare(const MatrixRun& c, const Reference& step) {
  InlineExecutor pool;
  const auto schedule = MakeSchedule(c.topology, c.peers);
  ASSERT_NE(schedule, nullptr);
  GossipWorldOptions options =
      BenchOptions(&pool, schedule, c.rounds, c.elements,
                   [eta = c.eta](int peer, int64_t, const Vector& at) {
                     Vector delta = GradientAt(peer, at);
                     for (double& d : delta) d *= -eta;
                     return delta;
                   });
  options.algorithm = c.algorithm;
  options.average_every = c.average_every;
  Trajectory trajectory;
  trajectory.Watch(&options);
  auto world = GossipWorld::Create(std::move(options));
  ASSERT_TRUE(world.ok()) << world.status();
  ASSERT_OK((*world)->Run());
  const Matrix start = StartMatrix(c.peers, c.elements);
  Matrix x = start;
  for (int64_t t = 1; t <= c.rounds; ++t) {
    Matrix w = MixingMatrix(*schedule, t);
    if (c.average_every > 0 && t % c.average_every == 0) {
      w.setConstant(1.0 / static_cast<double>(c.peers));
    }
    step(w, &x);
    for (int64_t j = 0; j < c.peers; ++j) {
      for (int64_t i = 0; i < c.elements; ++i) {
        ASSERT_NEAR(trajectory.At(t)[j][i], x(j, i), 1e-12)
            << "round " << t << " peer " << j;
      }
    }
  }
  EXPECT_GT((x - start).norm(), 1);
}

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_GOSSIP_MATRIX_BENCH_H_
