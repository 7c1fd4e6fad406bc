#include "common/topology/schedule.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/unit/topology/matrix.h"

namespace parley {
namespace {

struct Case {
  TopologyOptions options;
  int64_t peers;
};

// Every kind, with all the numbers of peers that may go wrong in their own way.
std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (absl::string_view kind : TopologyKinds()) {
    for (int64_t peers : {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 25}) {
      TopologyOptions options;
      options.kind = std::string(kind);
      options.probability = 0.7;
      options.k = 2;
      options.degree = peers < 4 ? peers - 1 : 2 + peers % 2;
      if (peers == 1) options.degree = 1;
      if (peers % 2 == 1 && peers > 1) options.degree = 2;
      options.neighbours = peers < 6 ? 2 : 4;
      if (kind == "small_world" && peers == 2) continue;
      if (kind == "edges") {
        for (int64_t peer = 1; peer < peers; ++peer) {
          options.edges.push_back({peer, peer / 2});
        }
      }
      if (kind == "hypercube" && (peers & (peers - 1)) != 0) continue;
      cases.push_back({options, peers});
      if (kind == "ring") {
        options.directed = true;
        cases.push_back({options, peers});
      }
      options.lazy = true;
      cases.push_back({options, peers});
    }
  }
  return cases;
}

TEST(Schedule, IsDoublyStochasticAndItsTwoSidesAgree) {
  for (const auto& [options, peers] : AllCases()) {
    SCOPED_TRACE(absl::StrCat(options.kind, " of ", peers));
    const auto schedule = Make(options, peers);
    const int64_t rounds = std::max<int64_t>(schedule->period(), 3);
    for (int64_t round = 0; round < rounds; ++round) {
      const Eigen::MatrixXd w = MatrixOf(*schedule, round);
      EXPECT_GE(w.minCoeff(), 0);
      EXPECT_LE((w.rowwise().sum().array() - 1).abs().maxCoeff(), 1e-15);
      EXPECT_LE((w.colwise().sum().array() - 1).abs().maxCoeff(), 1e-15);
      if (schedule->symmetric()) {
        EXPECT_EQ(w, w.transpose());
      }
      Eigen::MatrixXd sent = Eigen::MatrixXd::Zero(peers, peers);
      for (int64_t peer = 0; peer < peers; ++peer) {
        const MixingRow row = schedule->Row(round, peer);
        bool has_self = false;
        int64_t last = -1;
        for (const PeerWeight& in : row.in) {
          EXPECT_GT(in.peer, last);
          last = in.peer;
          has_self |= in.peer == peer;
        }
        EXPECT_TRUE(has_self);
        last = -1;
        for (const PeerWeight& out : row.out) {
          EXPECT_GT(out.peer, last);
          last = out.peer;
          sent(out.peer, peer) = out.weight;
        }
      }
      EXPECT_EQ(w, sent);
    }
  }
}

TEST(Schedule, IsAFunctionOfItsArgumentsWhateverWasAskedBefore) {
  for (const auto& [options, peers] : AllCases()) {
    SCOPED_TRACE(absl::StrCat(options.kind, " of ", peers));
    const auto one = Make(options, peers, 7), other = Make(options, peers, 7);
    EXPECT_EQ(one->hash(), other->hash());
    for (int64_t round : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) one->Row(round, 0);
    for (int64_t round : {5, 0, 31, 5, 1000000}) {
      EXPECT_EQ(MatrixOf(*one, round), MatrixOf(*other, round));
    }
  }
}

TEST(Schedule, RepeatsItselfAfterItsPeriod) {
  for (const auto& [options, peers] : AllCases()) {
    const auto schedule = Make(options, peers);
    if (schedule->period() == 0) continue;
    for (int64_t round = 0; round < schedule->period(); ++round) {
      EXPECT_EQ(MatrixOf(*schedule, round),
                MatrixOf(*schedule, round + 3 * schedule->period()));
    }
  }
}

TEST(Schedule, LazyIsHalfwayToTheIdentity) {
  for (const char* kind : {"ring", "star", "complete", "base"}) {
    TopologyOptions options = {.kind = kind, .lazy = true};
    const Eigen::MatrixXd expected =
        (Eigen::MatrixXd::Identity(6, 6) + MatrixOf(*Make(kind, 6), 1)) / 2;
    EXPECT_LE((MatrixOf(*Make(options, 6), 1) - expected).cwiseAbs().maxCoeff(),
              1e-16);
  }
}

TEST(Schedule, WeightsAreThoseOfTheReference) {
  EXPECT_EQ(
      Make("ring", 5)->Row(0, 0).in,
      (std::vector<PeerWeight>{{0, 1 - 2.0 / 3}, {1, 1.0 / 3}, {4, 1.0 / 3}}));
  TopologyOptions directed = {.kind = "ring", .directed = true};
  EXPECT_EQ(Make(directed, 5)->Row(0, 0).in,
            (std::vector<PeerWeight>{{0, 0.5}, {4, 0.5}}));
  EXPECT_EQ(Make(directed, 5)->Row(0, 0).out,
            (std::vector<PeerWeight>{{0, 0.5}, {1, 0.5}}));
  EXPECT_EQ(
      Make("path", 3)->Row(0, 1).in,
      (std::vector<PeerWeight>{{0, 1.0 / 3}, {1, 1 - 2.0 / 3}, {2, 1.0 / 3}}));
  // Ends of a path have one neighbour, whose degree is 2.
  EXPECT_EQ(Make("path", 3)->Row(0, 0).in,
            (std::vector<PeerWeight>{{0, 1 - 1.0 / 3}, {1, 1.0 / 3}}));
  for (const PeerWeight& in : Make("torus", 25)->Row(0, 12).in) {
    EXPECT_DOUBLE_EQ(in.weight, 0.2);
  }
  EXPECT_EQ(
      Make("static_exponential", 6)->Row(0, 1).out,
      (std::vector<PeerWeight>{{1, 0.25}, {2, 0.25}, {3, 0.25}, {5, 0.25}}));
  EXPECT_EQ(Make("one_peer_exponential", 6)->Row(4, 1).out,  // τ = 3: 2^1
            (std::vector<PeerWeight>{{1, 0.5}, {3, 0.5}}));
}

TEST(Schedule, TorusOfSideTwoHasNoEdgeTwice) {
  TopologyOptions options = {.kind = "torus", .rows = 2};
  // Peer 1 of 2 x 3: left 0, right 2, and 4 across.
  const MixingRow row = Make(options, 6)->Row(0, 1);
  ASSERT_EQ(row.in.size(), 4);
  for (const PeerWeight& in : row.in) EXPECT_DOUBLE_EQ(in.weight, 0.25);
  EXPECT_EQ(Make("ring", 2)->Row(0, 0).in,
            (std::vector<PeerWeight>{{0, 0.5}, {1, 0.5}}));
}

TEST(Schedule, GridIsAsSquareAsThePeersAllow) {
  // 12 = 3 x 4: peer 5 is in the middle of it.
  const MixingRow row = Make("grid", 12)->Row(0, 5);
  std::vector<int64_t> heard;
  for (const PeerWeight& in : row.in) heard.push_back(in.peer);
  EXPECT_EQ(heard, (std::vector<int64_t>{1, 4, 5, 6, 9}));
  EXPECT_EQ(MatrixOf(*Make("grid", 7), 0), MatrixOf(*Make("path", 7), 0));
}

int64_t Edges(const Schedule& schedule) {
  int64_t ends = 0;
  for (int64_t peer = 0; peer < schedule.peers(); ++peer) {
    ends += static_cast<int64_t>(schedule.Row(0, peer).in.size()) - 1;
  }
  return ends / 2;
}

TEST(RandomRegular, AllHaveTheDegreeAndSeedsDiffer) {
  for (auto [peers, degree] :
       {std::pair{10, 3}, {9, 4}, {64, 5}, {16, 15}, {100, 2}, {2, 1}}) {
    const TopologyOptions options = {.kind = "random_regular",
                                     .degree = degree};
    const auto schedule = Make(options, peers);
    for (int64_t peer = 0; peer < peers; ++peer) {
      EXPECT_EQ(schedule->Row(0, peer).in.size(), degree + 1);
    }
  }
  const TopologyOptions options = {.kind = "random_regular"};
  EXPECT_NE(MatrixOf(*Make(options, 20, 1), 0),
            MatrixOf(*Make(options, 20, 2), 0));
  EXPECT_NE(MatrixOf(*Make(options, 20, 1, 0), 0),
            MatrixOf(*Make(options, 20, 1, 1), 0));
}

// The 2-regular graphs of 6 peers are 60 hexagons and 10 pairs of triangles;
// connected are the hexagons, which should come equally often.
TEST(RandomRegular, EachGraphComesEquallyOften) {
  const TopologyOptions options = {.kind = "random_regular", .degree = 2};
  std::map<std::vector<int64_t>, int> seen;
  constexpr int kSeeds = 6000;
  for (int seed = 0; seed < kSeeds; ++seed) {
    const auto schedule = Make(options, 6, seed);
    std::vector<int64_t> graph;
    for (int64_t peer = 0; peer < 6; ++peer) {
      for (const PeerWeight& in : schedule->Row(0, peer).in) {
        graph.push_back(in.peer);
      }
    }
    ++seen[graph];
  }
  ASSERT_EQ(seen.size(), 60);
  double chi_square = 0;
  for (const auto& [graph, count] : seen) {
    const double expected = kSeeds / 60.0;
    chi_square += (count - expected) * (count - expected) / expected;
  }
  EXPECT_LT(chi_square, 59 + 4 * std::sqrt(2 * 59));  // 59 degrees of freedom
}

TEST(ErdosRenyi, HasAsManyEdgesAsItsProbabilitySays) {
  const TopologyOptions options = {.kind = "erdos_renyi", .probability = 0.2};
  // 4950 pairs: 990 edges, deviation 28.
  EXPECT_NEAR(Edges(*Make(options, 100)), 990, 4 * 28);
  EXPECT_EQ(MatrixOf(*Make({.kind = "erdos_renyi", .probability = 1}, 8), 0)
                .diagonal(),
            MatrixOf(*Make("complete", 8), 0).diagonal());
}

TEST(SmallWorld, MovesTheShareOfEdgesThatItSays) {
  TopologyOptions options = {.kind = "small_world"};
  options.rewire = 0;
  const MixingRow row = Make(options, 10)->Row(0, 0);
  std::vector<int64_t> heard;
  for (const PeerWeight& in : row.in) heard.push_back(in.peer);
  EXPECT_EQ(heard, (std::vector<int64_t>{0, 1, 2, 8, 9}));
  options.rewire = 0.1;
  const auto schedule = Make(options, 500);
  EXPECT_EQ(Edges(*schedule), 1000);
  int64_t far = 0;
  for (int64_t peer = 0; peer < 500; ++peer) {
    for (const PeerWeight& in : schedule->Row(0, peer).in) {
      const int64_t distance = std::abs(in.peer - peer);
      if (std::min(distance, 500 - distance) > 2) ++far;
    }
  }
  EXPECT_NEAR(static_cast<double>(far) / 2, 100, 4 * 9.5);
}

TEST(RandomMatching, PairsAllButAnOddOneAndDiffersByRoundSeedAndEpoch) {
  const TopologyOptions options = {.kind = "random_matching"};
  for (int64_t peers : {2, 7, 64}) {
    const auto schedule = Make(options, peers);
    EXPECT_EQ(schedule->period(), 0);
    int64_t alone = 0;
    for (int64_t peer = 0; peer < peers; ++peer) {
      const MixingRow row = schedule->Row(3, peer);
      if (row.in.size() == 1) ++alone;
      if (row.in.size() > 1) {
        EXPECT_EQ(row.in[0].weight, 0.5);
      }
    }
    EXPECT_EQ(alone, peers % 2);
  }
  const Eigen::MatrixXd first = MatrixOf(*Make(options, 64, 1, 0), 0);
  EXPECT_NE(first, MatrixOf(*Make(options, 64, 1, 0), 1));
  EXPECT_NE(first, MatrixOf(*Make(options, 64, 1, 1), 0));
  EXPECT_NE(first, MatrixOf(*Make(options, 64, 2, 0), 0));
}

TEST(RandomMatching, ServesSeveralThreads) {
  const auto schedule = Make("random_matching", 32);
  std::vector<Eigen::MatrixXd> products(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < products.size(); ++i) {
    threads.emplace_back([&, i] { products[i] = ProductOf(*schedule, 40); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Eigen::MatrixXd& product : products) {
    EXPECT_EQ(product, products[0]);
  }
}

// A round of 1,024 peers must not cost 1,024² for each peer's row: with that,
// these rounds would take minutes.
TEST(Schedule, RowsOfManyPeersAreCheap) {
  for (const char* kind :
       {"one_peer_exponential", "random_matching", "base", "torus"}) {
    const auto schedule = Make(kind, 1024);
    double sum = 0;
    for (int64_t round = 0; round < 100; ++round) {
      for (int64_t peer = 0; peer < 1024; ++peer) {
        for (const PeerWeight& in : schedule->Row(round, peer).in) {
          sum += in.weight;
        }
      }
    }
    EXPECT_NEAR(sum, 102400, 1e-6);
  }
}

}  // namespace
}  // namespace parley
