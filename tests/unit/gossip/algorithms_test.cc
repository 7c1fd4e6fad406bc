// Each algorithm on running peers, against a loop over dense matrices that is
// written from its paper.
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <string>

#include "client/gossip/algorithms/compressor.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/gossip_bench.h"

namespace parley {
namespace {

using Eigen::MatrixXd;

constexpr int64_t kPeers = 12;
constexpr int64_t kElements = 5;
constexpr double kEta = 0.1;

TopologyOptions Kind(std::string kind, bool lazy = false) {
  TopologyOptions options;
  options.kind = std::move(kind);
  options.lazy = lazy;
  return options;
}

// Peer j's gradient at x: a_j ∘ x − b_j, all different.
Vector Gradient(int peer, const Vector& x) {
  Vector g(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double a = 0.5 + 0.1 * static_cast<double>((peer * 7 + i * 3) % 10);
    const double b = static_cast<double>((peer * 5 + i) % 11) - 5;
    g[i] = a * x[i] - b;
  }
  return g;
}

// Row j: gradient of peer j at row j.
MatrixXd Gradients(const MatrixXd& x) {
  MatrixXd g(x.rows(), x.cols());
  for (int j = 0; j < x.rows(); ++j) {
    Vector row(x.cols());
    for (int i = 0; i < x.cols(); ++i) row[i] = x(j, i);
    const Vector grad = Gradient(j, row);
    for (int i = 0; i < x.cols(); ++i) g(j, i) = grad[i];
  }
  return g;
}

MatrixXd MixingMatrix(const Schedule& schedule, int64_t round) {
  MatrixXd w = MatrixXd::Zero(schedule.peers(), schedule.peers());
  for (int64_t j = 0; j < schedule.peers(); ++j) {
    for (const PeerWeight& p : schedule.Row(round - 1, j).in) {
      w(j, p.peer) = p.weight;
    }
  }
  return w;
}

MatrixXd StartMatrix() {
  MatrixXd x(kPeers, kElements);
  for (int j = 0; j < kPeers; ++j) {
    const Vector v = RandomVector(7, j, kElements);
    for (int i = 0; i < kElements; ++i) x(j, i) = v[i];
  }
  return x;
}

// The reference: from x and W of a round to the next x.
using Reference = std::function<void(const MatrixXd& w, MatrixXd* x)>;

void Compare(const TopologyOptions& topology, const AlgorithmOptions& algorithm,
             int64_t rounds, const Reference& step, int64_t average_every = 0) {
  ThreadPool pool(2);
  const auto schedule = MakeSchedule(topology, kPeers);
  GossipWorldOptions options =
      BenchOptions(&pool, schedule, rounds, kElements,
                   [](int peer, int64_t, const Vector& at) {
                     Vector delta = Gradient(peer, at);
                     for (double& d : delta) d *= -kEta;
                     return delta;
                   });
  options.algorithm = algorithm;
  options.average_every = average_every;
  Trajectory trajectory;
  trajectory.Watch(&options);
  auto world = GossipWorld::Create(std::move(options));
  ASSERT_TRUE(world.ok()) << world.status();
  ASSERT_OK((*world)->Run());
  MatrixXd x = StartMatrix();
  for (int64_t t = 1; t <= rounds; ++t) {
    MatrixXd w = MixingMatrix(*schedule, t);
    if (average_every > 0 && t % average_every == 0) {
      w.setConstant(1.0 / kPeers);
    }
    step(w, &x);
    for (int j = 0; j < kPeers; ++j) {
      for (int i = 0; i < kElements; ++i) {
        ASSERT_NEAR(trajectory.At(t)[j][i], x(j, i), 1e-12)
            << "round " << t << " peer " << j;
      }
    }
  }
  EXPECT_GT((x - StartMatrix()).norm(), 1);
}

void AwcStep(const MatrixXd& w, MatrixXd* x) {
  const MatrixXd g = Gradients(*x);
  *x = w * *x - kEta * g;
}
void AtcStep(const MatrixXd& w, MatrixXd* x) {
  const MatrixXd g = Gradients(*x);
  *x = w * (*x - kEta * g);
}

const char* const kTopologies[] = {"ring",           "torus",
                                   "base",           "static_exponential",
                                   "star",           "one_peer_exponential",
                                   "random_matching"};

TEST(Algorithms, DSgdAdaptsWhileCommunicating) {
  for (const char* topology : kTopologies) {
    SCOPED_TRACE(topology);
    Compare(Kind(topology), {}, 20, AwcStep);
  }
}

TEST(Algorithms, DSgdAdaptsThenCombines) {
  for (const char* topology : kTopologies) {
    SCOPED_TRACE(topology);
    Compare(Kind(topology), {.combine = true}, 20, AtcStep);
  }
}

TEST(Algorithms, DSgdWithHeavyBall) {
  MatrixXd v = MatrixXd::Zero(kPeers, kElements);
  Compare(Kind("ring"), {.momentum = 0.8}, 30,
          [&](const MatrixXd& w, MatrixXd* x) {
            v = 0.8 * v + Gradients(*x);
            *x = w * *x - kEta * v;
          });
  v.setZero();
  Compare(Kind("one_peer_exponential"), {.combine = true, .momentum = 0.8}, 30,
          [&](const MatrixXd& w, MatrixXd* x) {
            v = 0.8 * v + Gradients(*x);
            *x = w * (*x - kEta * v);
          });
}

// arXiv 2104.11981, algorithm 2.
TEST(Algorithms, DecentLam) {
  MatrixXd m = MatrixXd::Zero(kPeers, kElements);
  Compare(Kind("ring"), {.kind = "decent_lam", .momentum = 0.9}, 40,
          [&](const MatrixXd& w, MatrixXd* x) {
            const MatrixXd g = (*x - w * (*x - kEta * Gradients(*x))) / kEta;
            m = 0.9 * m + g;
            *x -= kEta * m;
          });
}

TEST(Algorithms, GradientTrackingTracksTheMeanGradient) {
  MatrixXd y, last;
  const auto step = [&](const MatrixXd& w, MatrixXd* x) {
    const MatrixXd g = Gradients(*x);
    y = y.size() == 0 ? g : MatrixXd(y + g - last);
    last = g;
    *x = w * *x - kEta * y;
    y = w * y;
  };
  Compare(Kind("ring"), {.kind = "gradient_tracking"}, 40, step);
  y.resize(0, 0);
  Compare(Kind("base"), {.kind = "gradient_tracking"}, 40, step);
}

// arXiv 1803.07068, algorithm 1.
TEST(Algorithms, D2) {
  MatrixXd last_x, last_g;
  Compare(Kind("ring", /*lazy=*/true), {.kind = "d2"}, 40,
          [&](const MatrixXd& w, MatrixXd* x) {
            const MatrixXd g = Gradients(*x);
            const MatrixXd next =
                last_x.size() == 0
                    ? MatrixXd(w * (*x - kEta * g))
                    : MatrixXd(w * (2 * *x - last_x - kEta * (g - last_g)));
            last_x = *x;
            last_g = g;
            *x = next;
          });
}

// Assran et al. 2019, algorithm 1, with the weights that go out.
TEST(Algorithms, PushSum) {
  for (const char* topology : {"one_peer_exponential", "ring"}) {
    MatrixXd u = StartMatrix();
    Eigen::VectorXd omega = Eigen::VectorXd::Ones(kPeers);
    Compare(Kind(topology), {.kind = "push_sum"}, 30,
            [&](const MatrixXd& w, MatrixXd* z) {
              u = w * (u - kEta * Gradients(*z));
              omega = w * omega;
              *z = omega.cwiseInverse().asDiagonal() * u;
            });
  }
}

TEST(Algorithms, ExactAverageIsOneModel) {
  Compare(Kind("ring"), {.kind = "exact_average"}, 10,
          [](const MatrixXd&, MatrixXd* x) {
            const MatrixXd u = *x - kEta * Gradients(*x);
            *x = u.colwise().mean().replicate(kPeers, 1);
          });
}

TEST(Algorithms, GossipPgaAveragesEverySoManyRounds) {
  Compare(Kind("ring"), {}, 20, AwcStep, 4);
  Compare(Kind("one_peer_exponential"), {.combine = true}, 20, AtcStep, 3);
}

// Compressors as their definitions say, on a row of numbers.
Vector TopOf(Vector v, size_t count) {
  std::vector<size_t> order(v.size());
  for (size_t i = 0; i < v.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::abs(v[a]) > std::abs(v[b]);
  });
  for (size_t i = count; i < v.size(); ++i) v[order[i]] = 0;
  return v;
}
Vector Bfloat16Of(Vector v) {
  for (double& x : v) {
    int exponent;
    const double fraction = std::frexp(static_cast<float>(x), &exponent);
    x = std::ldexp(std::nearbyint(fraction * 256), exponent - 8);
  }
  return v;
}
Vector Int8Of(Vector v) {
  double largest = 0;
  for (const double x : v) largest = std::max(largest, std::abs(x));
  const float scale = static_cast<float>(largest / 127);
  for (double& x : v) x = scale > 0 ? scale * std::nearbyint(x / scale) : 0;
  return v;
}

void CompareChoco(const AlgorithmOptions& algorithm,
                  const std::function<Vector(const Vector&)>& compress) {
  MatrixXd hat = MatrixXd::Zero(kPeers, kElements);
  Compare(Kind("ring"), algorithm, 40, [&](const MatrixXd& w, MatrixXd* x) {
    const MatrixXd half = *x - kEta * Gradients(*x);
    for (int j = 0; j < kPeers; ++j) {
      Vector difference(kElements);
      for (int i = 0; i < kElements; ++i)
        difference[i] = half(j, i) - hat(j, i);
      const Vector q = compress(difference);
      for (int i = 0; i < kElements; ++i) hat(j, i) += q[i];
    }
    *x = half + algorithm.consensus_step * (w * hat - hat);
  });
}

// arXiv 1907.09356, algorithm 1.
TEST(Algorithms, Choco) {
  CompareChoco({.kind = "choco",
                .compressor = "top",
                .share = 0.4,
                .consensus_step = 0.3},
               [](const Vector& v) { return TopOf(v, 2); });
  CompareChoco({.kind = "choco", .compressor = "bfloat16"}, Bfloat16Of);
  CompareChoco({.kind = "choco", .compressor = "int8", .consensus_step = 0.7},
               Int8Of);
}

// A diverging peer sends something that the others can refuse.
TEST(Algorithms, ChocoRefusesWhatIsNoNumber) {
  for (const char* compressor : {"top", "random", "int8", "bfloat16"}) {
    const auto made =
        MakeCompressor({.kind = "choco", .compressor = compressor, .share = 1},
                       DType::kFloat64, 3);
    const std::string bytes = made->Encode({}, ToParameters({1, HUGE_VAL, -2}));
    ParameterVector v = ToParameters({0, 0, 0});
    EXPECT_THAT(made->Decode({}, bytes, &v),
                StatusIs(absl::StatusCode::kInvalidArgument, "infinite"))
        << compressor;
  }
}

// Without learning all peers come to the mean, whatever little is sent.
TEST(Algorithms, ChocoReachesConsensus) {
  ThreadPool pool(2);
  for (const AlgorithmOptions& algorithm :
       {AlgorithmOptions{.kind = "choco", .compressor = "bfloat16"},
        AlgorithmOptions{.kind = "choco", .compressor = "int8"},
        AlgorithmOptions{.kind = "choco",
        .compressor = "top",
        .share = 0.2,
        .consensus_step = 0.2},
        AlgorithmOptions{.kind = "choco",
        .compressor = "random",
        .share = 0.2,
        .consensus_step = 0.1,
        .seed = 3}}) {
    GossipWorldOptions options =
        BenchOptions(&pool, MakeSchedule(Kind("hypercube"), 8), 400, 20);
    options.algorithm = algorithm;
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    ASSERT_OK((*world)->Run());
    std::vector<Vector> x, start;
    for (int j = 0; j < 8; ++j) {
      x.push_back(ToVector((*world)->node(j).state().x()));
      start.push_back(RandomVector(7, j, 20));
    }
    EXPECT_LT(Spread(x), 1e-3 * Spread(start)) << algorithm.compressor;
    for (int i = 0; i < 20; ++i) {
      EXPECT_NEAR(MeanOf(x)[i], MeanOf(start)[i], 1e-12);
    }
  }
}

// A loss that all peers share, quadratic: the mean of the peers' models goes as
// one model that takes the mean of their noises does.
TEST(DSgd, TheMeanFollowsPlainSgdOnASharedQuadraticLoss) {
  ThreadPool pool(2);
  const auto delta = [](int peer, int64_t round, const Vector& at) {
    Vector result(at.size());
    Rng noise(3, "", round, std::to_string(peer));
    for (size_t i = 0; i < at.size(); ++i) {
      const double curvature = 0.2 * static_cast<double>(i + 1);
      result[i] = -kEta * (curvature * (at[i] - 1) + noise.Normal());
    }
    return result;
  };
  for (const char* topology : {"ring", "one_peer_exponential", "grid"}) {
    GossipWorldOptions options = BenchOptions(
        &pool, MakeSchedule(Kind(topology), kPeers), 100, kElements, delta);
    Trajectory trajectory;
    trajectory.Watch(&options);
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    ASSERT_OK((*world)->Run());
    std::vector<Vector> starts;
    for (int j = 0; j < kPeers; ++j) {
      starts.push_back(RandomVector(7, j, kElements));
    }
    Vector sgd = MeanOf(starts);
    for (int64_t t = 1; t <= 100; ++t) {
      std::vector<Vector> deltas;
      for (int j = 0; j < kPeers; ++j) deltas.push_back(delta(j, t, sgd));
      const Vector step = MeanOf(deltas);
      for (size_t i = 0; i < sgd.size(); ++i) sgd[i] += step[i];
      const Vector mean = MeanOf(trajectory.At(t));
      for (size_t i = 0; i < sgd.size(); ++i) {
        ASSERT_NEAR(mean[i], sgd[i], 1e-12) << topology << " round " << t;
      }
    }
  }
}

struct Stationary {
  const char* topology;
  bool combine;
  double value;
};

// Flat loss, noise of variance s² a number and peer: Tr Ξ/(η²s²) settles at
// (1/m) Σ_{λ≠1} 1/(1 − λ²) for AWC, as the sum over the modes of W.
TEST(DSgd, NoiseSettlesAtTheTopologysConsensusDistance) {
  ThreadPool pool(2);
  constexpr int64_t kMany = 400, kRounds = 400, kFrom = 150, m = 16;
  for (const Stationary& s :
       {Stationary{"ring", false, 2.41}, Stationary{"grid", false, 1.49},
        Stationary{"static_exponential", false, 1.12},
        Stationary{"ring", true, 2.41 - 15.0 / 16}}) {
    GossipWorldOptions options =
        BenchOptions(&pool, MakeSchedule(Kind(s.topology), m), kRounds, kMany,
                     [](int peer, int64_t round, const Vector& at) {
                       Vector noise(at.size());
                       Rng rng(11, "", round, std::to_string(peer));
                       for (double& x : noise) x = rng.Normal();
                       return noise;
                     });
    options.algorithm.combine = s.combine;
    options.start = [](int) { return ToParameters(Vector(kMany, 0.0)); };
    std::map<int64_t, std::vector<Vector>> models;
    double sum = 0;
    options.on_round = [&](int, const GossipRound& round,
                           const PeerState& state) {
      auto& all = models[round.round];
      all.push_back(ToVector(state.x()));
      if (all.size() < m) return;
      const double spread = Spread(all);
      if (round.round > kFrom) sum += spread * spread / (m * kMany);
      models.erase(round.round);
    };
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    ASSERT_OK((*world)->Run());
    // The slowest mode keeps its memory for 1/(1 − λ²) <= 20 rounds: at least
    // 400·250/40 independent draws; four deviations.
    EXPECT_NEAR(sum / (kRounds - kFrom), s.value, 0.03)
        << s.topology << (s.combine ? ", combining" : "");
  }
}

}  // namespace
}  // namespace parley
