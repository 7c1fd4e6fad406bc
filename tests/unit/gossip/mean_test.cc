// What the mean of the peers' models does, and how far they are from it.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/unit/gossip/fault_bench.h"
#include "tests/unit/gossip/matrix_bench.h"

namespace parley {
namespace {

constexpr int64_t kPeers = 12;
constexpr double kEta = 0.1;

// A loss that all peers share, quadratic: the mean of the peers' models goes as
// one model that takes the mean of their noises does.
TEST(DSgd, TheMeanFollowsPlainSgdOnASharedQuadraticLoss) {
  InlineExecutor pool;
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
        &pool, MakeSchedule({.kind = topology}, kPeers), 100, kElements, delta);
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
void PrintTo(const Stationary& s, std::ostream* out) {
  *out << s.topology << (s.combine ? ", combining" : "");
}

class NoiseTest : public testing::TestWithParam<Stationary> {};

// Flat loss, noise of variance s² a number and peer: Tr Ξ/(η²s²) settles at
// (1/m) Σ_{λ≠1} 1/(1 − λ²) for AWC, as the sum over the modes of W; and at
// 1 − 1/m less for ATC.
TEST_P(NoiseTest, SettlesAtTheTopologysConsensusDistance) {
  InlineExecutor pool;
  constexpr int64_t kMany = 400, kRounds = 400, kFrom = 150, m = 16;
  GossipWorldOptions options = BenchOptions(
      &pool, MakeSchedule({.kind = GetParam().topology}, m), kRounds, kMany,
      [](int peer, int64_t round, const Vector& at) {
        Vector noise(at.size());
        Rng rng(11, "", round, std::to_string(peer));
        for (double& x : noise) x = rng.Normal();
        return noise;
      });
  options.algorithm.combine = GetParam().combine;
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
  EXPECT_NEAR(sum / (kRounds - kFrom), GetParam().value, 0.03);
}

INSTANTIATE_TEST_SUITE_P(
    ReferencePage, NoiseTest,
    testing::Values(Stationary{"ring", false, 2.41},
                    Stationary{"grid", false, 1.49},
                    Stationary{"static_exponential", false, 1.12},
                    Stationary{"ring", true, 2.41 - 15.0 / 16},
                    Stationary{"grid", true, 1.49 - 15.0 / 16},
                    Stationary{"static_exponential", true, 1.12 - 15.0 / 16}),
    [](const auto& info) {
      return absl::StrCat(info.param.topology,
                          info.param.combine ? "_combining" : "");
    });

Matrix MeanRow(const Matrix& x) { return x.colwise().mean(); }

// How far the mean of 8 peers goes in 30 rounds of averages x/2 + x_k/2 along
// directed edges, each of which is lost with 5 % and then left out.
double DriftOfPlainAverages(uint64_t seed) {
  Rng loss(seed, "loss");
  Matrix x = StartMatrix(8, kElements);
  const Matrix mean = MeanRow(x);
  for (int t = 0; t < 30; ++t) {
    const Matrix sent = x;
    for (int j = 0; j < 8; ++j) {
      if (loss.Uniform() < 0.05) continue;
      x.row(j) = (sent.row(j) + sent.row((j + 8 - (1 << (t % 3))) % 8)) / 2;
    }
  }
  return (MeanRow(x) - mean).norm();
}

TEST(MeanUnderLoss, DriftsWithPlainAveragesAndNotWithFlows) {
  double worst = 0, square = 0;
  constexpr int kDraws = 100;
  for (int seed = 0; seed < kDraws; ++seed) {
    const double drift = DriftOfPlainAverages(seed);
    worst = std::max(worst, drift);
    square += drift * drift / kDraws;
  }
  EXPECT_GT(worst, 0.3);
  EXPECT_GT(std::sqrt(square), 0.1);

  InlineExecutor pool;
  const Matrix mean = MeanRow(StartMatrix(8, kElements));
  int64_t broken = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    RandomLoss faults(seed, 0.05);
    GossipWorldOptions options = BenchOptions(
        &pool, MakeSchedule(Kind("one_peer_exponential"), 8), 30, kElements);
    options.faults = &faults;
    options.final_average = true;
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    ASSERT_OK((*world)->Run());
    broken += faults.broken();
    for (int j = 0; j < 8; ++j) {
      const Vector model = ToVector((*world)->node(j).state().Model());
      for (int64_t i = 0; i < kElements; ++i) {
        EXPECT_NEAR(model[i], mean(0, i), 1e-12) << "seed " << seed;
      }
    }
  }
  EXPECT_GT(broken, 8 * 3);
}

Matrix Bfloat16Of(Matrix x) {
  for (double& v : x.reshaped()) {
    int exponent;
    const double fraction = std::frexp(static_cast<float>(v), &exponent);
    v = std::ldexp(std::nearbyint(fraction * 256), exponent - 8);
  }
  return x;
}

TEST(MeanInBfloat16, DriftsWithPlainNumbersAndNotWithErrorFeedback) {
  constexpr int64_t kMany = 16, kRounds = 30;
  const Matrix start = StartMatrix(kMany, kElements);
  const auto schedule = MakeSchedule(Kind("ring"), kMany);
  Matrix x = start;
  // What each peer keeps for itself it has in full.
  for (int64_t t = 1; t <= kRounds; ++t) {
    Matrix w = MixingMatrix(*schedule, t);
    const Matrix own = w.diagonal().asDiagonal();
    x = own * x + (w - own) * Bfloat16Of(x);
  }
  const double drift = (MeanRow(x) - MeanRow(start)).norm();
  EXPECT_GT(drift, 4e-4);
  EXPECT_LT(drift, 4e-3);

  InlineExecutor pool;
  GossipWorldOptions options =
      BenchOptions(&pool, schedule, kRounds, kElements);
  options.algorithm = {.kind = "choco", .compressor = "bfloat16"};
  auto world = GossipWorld::Create(std::move(options));
  ASSERT_TRUE(world.ok()) << world.status();
  ASSERT_OK((*world)->Run());
  Matrix end(kMany, kElements);
  for (int j = 0; j < kMany; ++j) {
    const Vector model = ToVector((*world)->node(j).state().x());
    for (int64_t i = 0; i < kElements; ++i) end(j, i) = model[i];
  }
  EXPECT_LT((MeanRow(end) - MeanRow(start)).norm(), 1e-14);
  EXPECT_LT((end - MeanRow(start).replicate(kMany, 1)).norm(),
            1.1 * std::pow(.949253, kRounds) *
                (start - MeanRow(start).replicate(kMany, 1)).norm());
}

}  // namespace
}  // namespace parley
