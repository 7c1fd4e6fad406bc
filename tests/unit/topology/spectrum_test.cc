#include "common/topology/spectrum.h"

#include <Eigen/SVD>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "tests/unit/topology/matrix.h"

namespace parley {
namespace {

double Sigma2(const Eigen::MatrixXd& w) {
  return Eigen::BDCSVD<Eigen::MatrixXd>(w).singularValues()[1];
}

// The rates of one round, to the six digits that are published for them.
TEST(Spectrum, IsThatOfThePublishedTable) {
  const TopologyOptions directed = {.kind = "ring", .directed = true};
  struct {
    TopologyOptions options;
    int64_t peers;
    double contraction;
  } const kTable[] = {
      {{.kind = "ring"}, 8, .804738},
      {{.kind = "ring"}, 16, .949253},
      {{.kind = "ring"}, 64, .996790},
      {directed, 8, .923880},
      {directed, 16, .980785},
      {directed, 64, .998795},
      {{.kind = "static_exponential"}, 8, .5},
      {{.kind = "static_exponential"}, 16, .6},
      {{.kind = "static_exponential"}, 64, .714286},
      {{.kind = "hypercube"}, 8, .5},
      {{.kind = "hypercube"}, 16, .6},
      {{.kind = "hypercube"}, 64, .714286},
      {{.kind = "torus"}, 16, .6},
      {{.kind = "torus"}, 64, .882843},
      {{.kind = "grid"}, 16, .868641},
      {{.kind = "grid"}, 64, .967705},
      {{.kind = "star"}, 8, .875},
      {{.kind = "star"}, 16, .9375},
      {{.kind = "star"}, 64, .984375},
  };
  for (const auto& row : kTable) {
    SCOPED_TRACE(absl::StrCat(row.options.kind, " of ", row.peers));
    const auto schedule = Make(row.options, row.peers);
    ASSERT_OK_AND_ASSIGN(const Spectrum spectrum, SpectrumOf(*schedule));
    EXPECT_NEAR(spectrum.contraction, row.contraction, 5.1e-7);
    EXPECT_NEAR(spectrum.contraction, Sigma2(MatrixOf(*schedule, 0)), 1e-12);
    EXPECT_EQ(spectrum.estimated_rounds, 0);
    EXPECT_EQ(spectrum.exact_after, 0);
  }
}

TEST(Spectrum, IsThatOfTheFormulas) {
  const double pi = std::acos(-1.0);
  for (int64_t n : {5, 8, 17, 40, 64}) {
    const double m = static_cast<double>(n);
    ASSERT_OK_AND_ASSIGN(const Spectrum ring, SpectrumOf(*Make("ring", n)));
    EXPECT_NEAR(ring.contraction, (1 + 2 * std::cos(2 * pi / m)) / 3, 1e-12);
    EXPECT_EQ(ring.max_degree, 2);
    ASSERT_OK_AND_ASSIGN(
        const Spectrum directed,
        SpectrumOf(*Make({.kind = "ring", .directed = true}, n)));
    EXPECT_NEAR(directed.contraction, std::cos(pi / m), 1e-12);
    EXPECT_FALSE(directed.lambda_min.has_value());
    ASSERT_OK_AND_ASSIGN(const Spectrum star, SpectrumOf(*Make("star", n)));
    EXPECT_NEAR(star.contraction, 1 - 1 / m, 1e-12);
    EXPECT_EQ(star.max_degree, n - 1);
    if (n % 2 == 0) {
      const double tau = std::ceil(std::log2(m));
      ASSERT_OK_AND_ASSIGN(const Spectrum exponential,
                           SpectrumOf(*Make("static_exponential", n)));
      EXPECT_NEAR(exponential.contraction, 1 - 2 / (tau + 1), 1e-12);
      EXPECT_EQ(exponential.max_degree, tau);
    }
  }
}

TEST(Spectrum, ContractionIsWhatRandomVectorsShow) {
  for (const char* kind : {"ring", "torus", "star", "static_exponential",
                           "path", "small_world", "random_regular"}) {
    SCOPED_TRACE(kind);
    const auto schedule = Make(kind, 16);
    ASSERT_OK_AND_ASSIGN(const Spectrum spectrum, SpectrumOf(*schedule));
    const Eigen::MatrixXd w = MatrixOf(*schedule, 0);
    Rng rng(3, kind);
    Eigen::VectorXd x(16);
    for (double& value : x) value = rng.Normal();
    x.array() -= x.mean();
    double first = 0;
    for (int round = 1; round <= 400; ++round) {
      const double before = x.norm();
      x = w * x;
      x.array() -= x.mean();
      EXPECT_LE(x.norm(), spectrum.contraction * before * (1 + 1e-12));
      first = x.norm() / before;
      x /= x.norm();
    }
    // All but the slowest direction has died out: what is left shrinks by ρ.
    EXPECT_NEAR(first, spectrum.contraction, 1e-6);
  }
}

TEST(Spectrum, SmallestEigenvalueTellsWhereD2MayMix) {
  struct {
    const char* kind;
    int64_t peers;
    double lambda_min;
  } const kTable[] = {{"ring", 8, -1.0 / 3},   {"ring", 16, -1.0 / 3},
                      {"hypercube", 16, -0.6}, {"torus", 16, -0.6},
                      {"complete", 9, 0},      {"star", 8, 0}};
  for (const auto& row : kTable) {
    SCOPED_TRACE(row.kind);
    ASSERT_OK_AND_ASSIGN(const Spectrum plain,
                         SpectrumOf(*Make(row.kind, row.peers)));
    ASSERT_TRUE(plain.lambda_min.has_value());
    EXPECT_NEAR(*plain.lambda_min, row.lambda_min, 1e-12);
    TopologyOptions lazy = {.kind = row.kind, .lazy = true};
    ASSERT_OK_AND_ASSIGN(const Spectrum half,
                         SpectrumOf(*Make(lazy, row.peers)));
    EXPECT_NEAR(*half.lambda_min, (1 + *plain.lambda_min) / 2, 1e-12);
  }
  ASSERT_OK_AND_ASSIGN(const Spectrum grid, SpectrumOf(*Make("grid", 16)));
  EXPECT_LT(*grid.lambda_min, -1.0 / 3);
}

TEST(Spectrum, OnePeerExponentialIsExactForPowersOfTwoOnly) {
  const auto schedule = Make("one_peer_exponential", 16);
  EXPECT_EQ(ProductOf(*schedule, 4), MeanMatrix(16));  // to the last bit
  ASSERT_OK_AND_ASSIGN(const Spectrum sixteen, SpectrumOf(*schedule));
  EXPECT_EQ(sixteen.exact_after, 4);
  EXPECT_EQ(sixteen.contraction, 0);
  EXPECT_EQ(sixteen.gap(), 1);
  EXPECT_EQ(sixteen.RoundsTo(1e-6), 4);
  EXPECT_EQ(sixteen.max_degree, 1);

  const auto twelve = Make("one_peer_exponential", 12);
  for (int64_t rounds = 1; rounds <= 24; ++rounds) {
    EXPECT_GT((ProductOf(*twelve, rounds) - MeanMatrix(12)).norm(), 1e-9);
  }
  ASSERT_OK_AND_ASSIGN(const Spectrum spectrum, SpectrumOf(*twelve));
  EXPECT_EQ(spectrum.exact_after, 0);
  EXPECT_EQ(spectrum.estimated_rounds, 0);
  EXPECT_NEAR(spectrum.contraction,
              std::pow(Sigma2(ProductOf(*twelve, 4)), 0.25), 1e-12);
}

TEST(Spectrum, RoundsToReachAShare) {
  ASSERT_OK_AND_ASSIGN(const Spectrum ring, SpectrumOf(*Make("ring", 16)));
  const double rounds = ring.RoundsTo(1e-6);
  EXPECT_LE(std::pow(ring.contraction, rounds), 1e-6);
  EXPECT_GT(std::pow(ring.contraction, rounds - 1), 1e-6);
  Spectrum still;
  still.contraction = 1;
  EXPECT_TRUE(std::isinf(still.RoundsTo(1e-6)));
}

TEST(Spectrum, OfDrawnMatricesIsAnEstimateThatSaysSo) {
  ASSERT_OK_AND_ASSIGN(const Spectrum spectrum,
                       SpectrumOf(*Make("random_matching", 32)));
  EXPECT_EQ(spectrum.estimated_rounds, 200);
  // E‖Wx‖² = (1/2)(1 − 1/(m − 1))‖x‖² for x without mean: its root bounds the
  // typical rate from above, and half of the peers' differences go each round.
  EXPECT_LT(spectrum.contraction, 0.80);
  EXPECT_GT(spectrum.contraction, 0.60);
  EXPECT_FALSE(spectrum.lambda_min.has_value());
  ASSERT_OK_AND_ASSIGN(const Spectrum two,
                       SpectrumOf(*Make("random_matching", 2)));
  EXPECT_EQ(two.contraction, 0);
  EXPECT_EQ(two.exact_after, 1);
}

TEST(Spectrum, OfOneAndOfManyPeers) {
  ASSERT_OK_AND_ASSIGN(const Spectrum one, SpectrumOf(*Make("ring", 1)));
  EXPECT_EQ(one.contraction, 0);
  EXPECT_EQ(one.exact_after, 1);
  EXPECT_EQ(one.max_degree, 0);
  EXPECT_NEAR(*one.lambda_min, 1, 1e-15);
  EXPECT_THAT(SpectrumOf(*Make("ring", 2049)),
              StatusIs(absl::StatusCode::kInvalidArgument, "at most 2048"));
}

}  // namespace
}  // namespace parley
