// CHOCO on running peers, against a loop over dense matrices that is written
// from its paper.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/gossip/algorithms/compressor.h"
#include "tests/unit/gossip/matrix_bench.h"

namespace parley {
namespace {

constexpr double kEta = 0.1;  // MatrixRun's

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

// Those of places that the peer draws for the round.
Vector DrawnOf(uint64_t seed, int peer, int64_t round, const Vector& v,
               int64_t count) {
  Vector kept(v.size(), 0.0);
  Rng places(seed, absl::StrCat(peer), round, "choco places");
  for (const int64_t place :
       places.Sample(static_cast<int64_t>(v.size()), count)) {
    kept[place] = v[place];
  }
  return kept;
}

// Q of what a peer sends in a round.
using Compress =
    std::function<Vector(int peer, int64_t round, const Vector& v)>;

// arXiv 1907.09356, algorithm 1.
void CompareChoco(const char* topology, const AlgorithmOptions& algorithm,
                  const Compress& compress) {
  SCOPED_TRACE(absl::StrCat(algorithm.compressor, " on ", topology));
  Matrix hat = Matrix::Zero(12, 5);
  int64_t round = 0;
  Compare(
      {.topology = {.kind = topology}, .algorithm = algorithm, .rounds = 40},
      [&](const Matrix& w, Matrix* x) {
        ++round;
        const Matrix half = *x - kEta * Gradients(*x);
        for (int j = 0; j < hat.rows(); ++j) {
          const Vector q = compress(j, round, RowOf(half - hat, j));
          for (int64_t i = 0; i < hat.cols(); ++i) hat(j, i) += q[i];
        }
        *x = half + algorithm.consensus_step * (w * hat - hat);
      });
}

TEST(Choco, IsThatOfItsPaper) {
  for (const char* topology : {"ring", "star", "random_regular"}) {
    CompareChoco(topology,
                 {.kind = "choco",
                  .compressor = "top",
                  .share = 0.4,
                  .consensus_step = 0.3},
                 [](int, int64_t, const Vector& v) { return TopOf(v, 2); });
    CompareChoco(topology,
                 {.kind = "choco",
                  .compressor = "random",
                  .share = 0.4,
                  .consensus_step = 0.3,
                  .seed = 5},
                 [](int peer, int64_t round, const Vector& v) {
                   return DrawnOf(5, peer, round, v, 2);
                 });
    CompareChoco(topology, {.kind = "choco", .compressor = "bfloat16"},
                 [](int, int64_t, const Vector& v) { return Bfloat16Of(v); });
    CompareChoco(topology,
                 {.kind = "choco", .compressor = "int8", .consensus_step = 0.7},
                 [](int, int64_t, const Vector& v) { return Int8Of(v); });
  }
}

// A diverging peer sends something that the others can refuse.
TEST(Choco, RefusesWhatIsNoNumber) {
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
TEST(Choco, ReachesConsensus) {
  InlineExecutor pool;
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
        BenchOptions(&pool, MakeSchedule({.kind = "hypercube"}, 8), 400, 20);
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

}  // namespace
}  // namespace parley
