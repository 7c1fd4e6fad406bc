// The contraction rates of mixing, measured on running peers that learn
// nothing.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/gossip/matrix_bench.h"

namespace parley {
namespace {

struct Rate {
  std::string name;
  TopologyOptions topology;
  int64_t peers;
  double rho;  // to six digits
};

void PrintTo(const Rate& rate, std::ostream* out) { *out << rate.name; }

const TopologyOptions kRing = {.kind = "ring"};
const TopologyOptions kDirectedRing = {.kind = "ring", .directed = true};
const TopologyOptions kExponential = {.kind = "static_exponential"};
const TopologyOptions kHypercube = {.kind = "hypercube"};
const TopologyOptions kTorus = {.kind = "torus"};
const TopologyOptions kGrid = {.kind = "grid"};
const TopologyOptions kStar = {.kind = "star"};

class ContractionTest : public testing::TestWithParam<Rate> {};

// x that W shrinks least. W is normal, so its next x is as slow.
Vector SlowestDirection(const Matrix& w) {
  const Eigen::JacobiSVD<Matrix> svd(w, Eigen::ComputeFullV);
  return RowOf(svd.matrixV().col(1).transpose(), 0);
}

// From the slowest direction ‖x − x̄‖ shrinks by ρ in each round; from any other
// by ρ or more.
TEST_P(ContractionTest, IsThatOfTheReferencePage) {
  constexpr int64_t kRounds = 8;
  constexpr double kDigits = 5.1e-7;
  const Rate& rate = GetParam();
  InlineExecutor pool;
  const auto schedule = MakeSchedule(rate.topology, rate.peers);
  GossipWorldOptions options = BenchOptions(&pool, schedule, kRounds, 2);
  const Vector slowest = SlowestDirection(MixingMatrix(*schedule, 1));
  options.start = [&slowest](int peer) {
    return ToParameters({3 + slowest[peer], RandomVector(7, peer, 1)[0]});
  };
  Trajectory trajectory;
  trajectory.Watch(&options);
  auto world = GossipWorld::Create(std::move(options));
  ASSERT_TRUE(world.ok()) << world.status();
  ASSERT_OK((*world)->Run());
  const auto spread = [&](int64_t round, int element) {
    std::vector<Vector> numbers;
    for (const Vector& x : trajectory.At(round)) {
      numbers.push_back({x[element]});
    }
    EXPECT_EQ(numbers.size(), rate.peers);
    return Spread(numbers);
  };
  EXPECT_NEAR(spread(1, 0), rate.rho, kDigits);  // from 1
  for (int64_t t = 2; t <= kRounds; ++t) {
    EXPECT_NEAR(spread(t, 0) / spread(t - 1, 0), rate.rho, kDigits) << t;
    EXPECT_LE(spread(t, 1), (rate.rho + kDigits) * spread(t - 1, 1)) << t;
  }
}

INSTANTIATE_TEST_SUITE_P(
    ReferencePage, ContractionTest,
    testing::Values(
        Rate{"ring8", kRing, 8, .804738}, Rate{"ring16", kRing, 16, .949253},
        Rate{"ring64", kRing, 64, .996790},
        Rate{"directed_ring8", kDirectedRing, 8, .923880},
        Rate{"directed_ring16", kDirectedRing, 16, .980785},
        Rate{"directed_ring64", kDirectedRing, 64, .998795},
        Rate{"static_exponential8", kExponential, 8, .5},
        Rate{"static_exponential16", kExponential, 16, .6},
        Rate{"static_exponential64", kExponential, 64, .714286},
        Rate{"hypercube8", kHypercube, 8, .5},
        Rate{"hypercube16", kHypercube, 16, .6},
        Rate{"hypercube64", kHypercube, 64, .714286},
        Rate{"torus16", kTorus, 16, .6}, Rate{"torus64", kTorus, 64, .882843},
        Rate{"grid16", kGrid, 16, .868641}, Rate{"grid64", kGrid, 64, .967705},
        Rate{"star8", kStar, 8, .875}, Rate{"star16", kStar, 16, .9375},
        Rate{"star64", kStar, 64, .984375}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace parley
