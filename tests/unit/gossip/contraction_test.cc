// The contraction rates and finite-time properties of mixing, measured on
// running peers that learn nothing.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/gossip_bench.h"

namespace parley {
namespace {

constexpr double kPi = 3.14159265358979323846;

struct Rate {
  std::string name;
  TopologyOptions topology;
  int64_t peers;
  double rho;
};

void PrintTo(const Rate& rate, std::ostream* out) { *out << rate.name; }

TopologyOptions Kind(std::string kind) {
  TopologyOptions options;
  options.kind = std::move(kind);
  return options;
}

TopologyOptions DirectedRing() {
  TopologyOptions options = Kind("ring");
  options.directed = true;
  return options;
}

class ContractionTest : public testing::TestWithParam<Rate> {};

// From any start ‖x − x̄‖ shrinks by ρ or more a round, and in the end by ρ.
TEST_P(ContractionTest, IsThatOfTheMatrix) {
  const Rate& rate = GetParam();
  ThreadPool pool(2);
  const int64_t rounds =
      std::min<int64_t>(200, std::ceil(std::log(1e-10) / std::log(rate.rho)));
  GossipWorldOptions options =
      BenchOptions(&pool, MakeSchedule(rate.topology, rate.peers), rounds, 6);
  Trajectory trajectory;
  trajectory.Watch(&options);
  auto world = GossipWorld::Create(std::move(options));
  ASSERT_TRUE(world.ok()) << world.status();
  ASSERT_OK((*world)->Run());
  double last = Spread(trajectory.At(1));
  double ratio = 0;
  for (int64_t t = 2; t <= rounds; ++t) {
    const double spread = Spread(trajectory.At(t));
    ratio = spread / last;
    ASSERT_LE(ratio, rate.rho * (1 + 1e-6)) << "round " << t;
    last = spread;
  }
  EXPECT_NEAR(ratio, rate.rho, 0.02 * (1 - rate.rho) + 1e-3);
}

INSTANTIATE_TEST_SUITE_P(
    ReferencePage, ContractionTest,
    testing::Values(
        Rate{"ring8", Kind("ring"), 8, (1 + 2 * std::cos(2 * kPi / 8)) / 3},
        Rate{"ring16", Kind("ring"), 16, .949253},
        Rate{"directed_ring8", DirectedRing(), 8, std::cos(kPi / 8)},
        Rate{"directed_ring16", DirectedRing(), 16, .980785},
        Rate{"static_exponential8", Kind("static_exponential"), 8, .5},
        Rate{"static_exponential16", Kind("static_exponential"), 16, .6},
        Rate{"hypercube16", Kind("hypercube"), 16, .6},
        Rate{"torus16", Kind("torus"), 16, .6},
        Rate{"grid16", Kind("grid"), 16, .868641},
        Rate{"star8", Kind("star"), 8, .875},
        Rate{"star16", Kind("star"), 16, .9375}),
    [](const auto& info) { return info.param.name; });

double SpreadAfter(TopologyOptions topology, int64_t peers, int64_t rounds) {
  ThreadPool pool(2);
  GossipWorldOptions options =
      BenchOptions(&pool, MakeSchedule(topology, peers), rounds, 6);
  auto world = GossipWorld::Create(std::move(options));
  EXPECT_TRUE(world.ok()) << world.status();
  EXPECT_OK((*world)->Run());
  std::vector<Vector> x;
  for (int i = 0; i < peers; ++i) {
    x.push_back(ToVector((*world)->node(i).state().Model()));
  }
  return Spread(x);
}

TEST(FiniteTime, OnePeerExponentialIsExactForPowersOfTwo) {
  EXPECT_GT(SpreadAfter(Kind("one_peer_exponential"), 16, 3), 0.1);
  EXPECT_LT(SpreadAfter(Kind("one_peer_exponential"), 16, 4), 1e-14);
  EXPECT_GT(SpreadAfter(Kind("one_peer_exponential"), 12, 8), 1e-3);
}

TEST(FiniteTime, BaseGraphsAreExactForAnyNumberOfPeers) {
  for (const int64_t k : {1, 2, 3}) {
    for (const int64_t n : {2, 5, 6, 12, 15, 16}) {
      TopologyOptions base = Kind("base");
      base.k = k;
      const int64_t period = MakeSchedule(base, n)->period();
      EXPECT_LT(SpreadAfter(base, n, period), 1e-13) << "k " << k << " n " << n;
    }
  }
}

TEST(FiniteTime, ARandomMatchingHalvesTheSpreadAtBest) {
  EXPECT_LT(SpreadAfter(Kind("random_matching"), 16, 40), 1e-3);
}

}  // namespace
}  // namespace parley
