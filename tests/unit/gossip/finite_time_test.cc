// Schedules that average exactly in finite time, or never do, measured on
// running peers that learn nothing.
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/inline_executor.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/gossip_bench.h"

namespace parley {
namespace {

constexpr int64_t kElements = 3;

// Whole numbers, whose sums and halves of halves have no rounding.
Vector StartOf(int peer) {
  Vector v = RandomVector(7, peer, kElements);
  for (double& x : v) x = std::round(1000 * x);
  return v;
}

class FiniteTimeTest : public testing::Test {
 protected:
  void Run(const TopologyOptions& topology, int64_t peers, int64_t rounds) {
    trajectory_ = {};
    std::vector<Vector> start;
    for (int i = 0; i < peers; ++i) start.push_back(StartOf(i));
    mean_ = MeanOf(start);
    GossipWorldOptions options =
        BenchOptions(&pool_, MakeSchedule(topology, peers), rounds, kElements);
    options.start = [](int peer) { return ToParameters(StartOf(peer)); };
    trajectory_.Watch(&options);
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    ASSERT_OK((*world)->Run());
    ASSERT_EQ(trajectory_.At(rounds).size(), peers);
  }
  // The most that a peer's number is from the mean of the starts.
  double Distance(int64_t round) {
    double most = 0;
    for (const Vector& x : trajectory_.At(round)) {
      for (int64_t i = 0; i < kElements; ++i) {
        most = std::max(most, std::abs(x[i] - mean_[i]));
      }
    }
    return most;
  }

  InlineExecutor pool_;
  Trajectory trajectory_;
  Vector mean_;
};

TEST_F(FiniteTimeTest, OnePeerExponentialIsTheMeanForPowersOfTwo) {
  for (int rounds = 1; rounds <= 6; ++rounds) {
    SCOPED_TRACE(rounds);
    Run({.kind = "one_peer_exponential"}, int64_t{1} << rounds, rounds);
    for (int64_t t = 1; t < rounds; ++t) EXPECT_GT(Distance(t), 10) << t;
    EXPECT_EQ(Distance(rounds), 0);  // to the last bit
  }
}

TEST_F(FiniteTimeTest, OnePeerExponentialIsTheMeanOfAThousandPeers) {
  Run({.kind = "one_peer_exponential"}, 1024, 10);
  EXPECT_GT(Distance(9), 10);
  EXPECT_EQ(Distance(10), 0);
}

TEST_F(FiniteTimeTest, OnePeerExponentialOfTwelveNeverIs) {
  constexpr int64_t kPeriods = 10;
  Run({.kind = "one_peer_exponential"}, 12, 4 * kPeriods);
  for (int64_t t = 1; t <= 4 * kPeriods; ++t) {
    EXPECT_GT(Distance(t), 1e-6) << t;  // rounding is of 1e-13
  }
}

TEST_F(FiniteTimeTest, BaseGraphsAreTheMeanForAnyNumberOfPeers) {
  for (const int64_t k : {1, 2, 3}) {
    for (int64_t n = 2; n <= 20; ++n) {
      SCOPED_TRACE(absl::StrCat("k ", k, " n ", n));
      const TopologyOptions base = {.kind = "base", .k = k};
      const int64_t period = MakeSchedule(base, n)->period();
      Run(base, n, period);
      EXPECT_LT(Distance(period), 1e-11);  // of numbers of about 1000
      for (int64_t t = 1; t < period; ++t) EXPECT_GT(Distance(t), 10) << t;
    }
  }
}

TEST_F(FiniteTimeTest, RandomMatchingsComeNearTheMean) {
  Run({.kind = "random_matching"}, 16, 40);
  EXPECT_LT(Distance(40), 1);
}

}  // namespace
}  // namespace parley
