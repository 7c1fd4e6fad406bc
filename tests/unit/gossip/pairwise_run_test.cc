// AD-PSGD on running peers: who waits for whom, what it converges to, and how
// fast pairs bring all together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/inline_executor.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/gossip_bench.h"

namespace parley {
namespace {

using Matrix = Eigen::MatrixXd;

TopologyOptions Kind(std::string kind) {
  TopologyOptions options;
  options.kind = std::move(kind);
  return options;
}

GossipWorldOptions Pairs(Executor* pool, std::string topology, int64_t peers,
                         int64_t rounds, int64_t elements,
                         PeerDelta delta = nullptr, uint64_t seed = 1) {
  GossipWorldOptions options =
      BenchOptions(pool, MakeSchedule(Kind(std::move(topology)), peers), rounds,
                   elements, std::move(delta));
  options.algorithm = {.kind = "ad_psgd", .seed = seed};
  return options;
}

std::vector<Vector> ModelsOf(const GossipWorld& world) {
  std::vector<Vector> x;
  for (int i = 0; i < world.peers(); ++i) {
    x.push_back(ToVector(world.node(i).state().Model()));
  }
  return x;
}

// All want one at once, all the time: local steps take next to nothing.
TEST(PairwiseRun, NobodyWaitsInACircle) {
  InlineExecutor pool;
  for (const char* topology :
       {"ring", "complete", "star", "path", "torus", "hypercube"}) {
    SCOPED_TRACE(topology);
    constexpr int kRounds = 40;
    GossipWorldOptions options = Pairs(&pool, topology, 16, kRounds, 3);
    int used = 0, lost = 0;
    std::map<int, int64_t> last;
    options.on_round = [&](int peer, const GossipRound& round,
                           const PeerState&) {
      EXPECT_EQ(round.round, ++last[peer]);
      EXPECT_GE(round.used_edges, 1);
      used += round.used_edges;
      lost += round.lost_edges;
    };
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_OK(world);
    ASSERT_OK((*world)->Run());
    EXPECT_GE(used, 16 * kRounds);
    EXPECT_EQ(lost, 0);
    // No timeout had to help: those take seconds.
    EXPECT_LT((*world)->world().Now(), absl::UnixEpoch() + absl::Seconds(15));
    const Vector before = MeanOf([] {
      std::vector<Vector> start;
      for (int i = 0; i < 16; ++i) start.push_back(RandomVector(7, i, 3));
      return start;
    }());
    const Vector after = MeanOf(ModelsOf(**world));
    for (int i = 0; i < 3; ++i) EXPECT_NEAR(after[i], before[i], 1e-13);
  }
}

// The times at which the peers have done their steps.
std::vector<double> Ends(Executor* pool, int slow, AlgorithmOptions algorithm) {
  constexpr int64_t kRounds = 50;
  GossipWorldOptions options = Pairs(pool, "ring", 8, kRounds, 3);
  options.algorithm = std::move(algorithm);
  options.step_time = [slow](int peer) {
    return absl::Milliseconds(peer == slow ? 1000 : 100);
  };
  std::vector<double> ends(8);
  GossipWorld* running = nullptr;
  options.on_round = [&](int peer, const GossipRound& round, const PeerState&) {
    if (round.round == kRounds) {
      ends[peer] =
          absl::ToDoubleSeconds(running->world().Now() - absl::UnixEpoch());
    }
  };
  auto world = GossipWorld::Create(std::move(options));
  EXPECT_OK(world);
  running = world->get();
  EXPECT_OK((*world)->Run());
  return ends;
}

TEST(PairwiseRun, OneThatIsTenTimesSlowerSlowsNobodyElse) {
  InlineExecutor pool;
  const std::vector<double> alike = Ends(&pool, -1, {.kind = "ad_psgd"});
  const std::vector<double> with = Ends(&pool, 3, {.kind = "ad_psgd"});
  const std::vector<double> rounds = Ends(&pool, 3, {.kind = "d_sgd"});
  for (int peer = 0; peer < 8; ++peer) {
    EXPECT_GT(alike[peer], 5);  // its own steps
    if (peer == 3) continue;
    EXPECT_LT(with[peer], 1.1 * alike[peer]) << peer;
    EXPECT_GT(rounds[peer], 9 * alike[peer]) << "D-SGD waits, peer " << peer;
  }
  EXPECT_GT(with[3], 9 * alike[3]);
}

// All have the same minimum, to which all come, though steps are stale.
TEST(PairwiseRun, AllComeToTheMinimumThatTheyShare) {
  InlineExecutor pool;
  constexpr int64_t kElements = 6;
  Matrix h = Matrix::Identity(kElements, kElements);
  for (int i = 0; i + 1 < kElements; ++i) h(i, i + 1) = h(i + 1, i) = 0.4;
  const Vector minimum = RandomVector(3, 0, kElements);
  const auto delta = [&](int, int64_t, const Vector& at) {
    Eigen::VectorXd off(kElements);
    for (int i = 0; i < kElements; ++i) off[i] = at[i] - minimum[i];
    const Eigen::VectorXd step = -0.2 * h * off;
    return Vector(step.data(), step.data() + kElements);
  };
  GossipWorldOptions options = Pairs(&pool, "ring", 8, 600, kElements, delta);
  options.step_time = [](int peer) {
    return absl::Milliseconds(20 + 30 * peer);
  };
  auto world = GossipWorld::Create(std::move(options));
  ASSERT_OK(world);
  ASSERT_OK((*world)->Run());
  for (const Vector& x : ModelsOf(**world)) {
    for (int i = 0; i < kElements; ++i) EXPECT_NEAR(x[i], minimum[i], 1e-9);
  }
}

// Each has a minimum of its own: with steps that shrink all come to that of the
// sum, where all take equally many.
TEST(PairwiseRun, AllComeToTheMinimumOfTheSum) {
  InlineExecutor pool;
  constexpr int64_t kElements = 4, kPeers = 6;
  std::vector<Vector> minima;
  for (int j = 0; j < kPeers; ++j) minima.push_back(RandomVector(9, j, 4));
  const Vector of_sum = MeanOf(minima);
  const auto delta = [&](int peer, int64_t round, const Vector& at) {
    Vector step(kElements);
    for (int i = 0; i < kElements; ++i) {
      step[i] = -(at[i] - minima[peer][i]) / (5 + round);
    }
    return step;
  };
  GossipWorldOptions options =
      Pairs(&pool, "complete", kPeers, 3000, kElements, delta);
  options.step_time = [](int) { return absl::Milliseconds(100); };
  options.final_average = true;
  auto world = GossipWorld::Create(std::move(options));
  ASSERT_OK(world);
  ASSERT_OK((*world)->Run());
  const std::vector<Vector> x = ModelsOf(**world);
  EXPECT_EQ((*world)->node(0).machine().committed_average(), 3001);
  for (const Vector& model : x) EXPECT_EQ(model, x[0]) << "one average for all";
  for (int i = 0; i < kElements; ++i) EXPECT_NEAR(x[0][i], of_sum[i], 0.02);
}

TEST(PairwiseRun, TheExactAverageIsThatOfAllModels) {
  InlineExecutor pool;
  for (const int64_t peers : {2, 3, 5}) {
    SCOPED_TRACE(peers);
    GossipWorldOptions options = Pairs(&pool, "path", peers, 5, 4);
    options.final_average = true;
    options.step_time = [](int peer) {
      return absl::Milliseconds(peer == 1 ? 9000 : 10 * (peer + 1));
    };
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_OK(world);
    ASSERT_OK((*world)->Run());
    std::vector<Vector> start;
    for (int i = 0; i < peers; ++i) start.push_back(RandomVector(7, i, 4));
    const Vector mean = MeanOf(start);
    for (int i = 0; i < peers; ++i) {
      EXPECT_EQ((*world)->node(i).machine().committed_average(), 6);
      const Vector x = ToVector((*world)->node(i).state().Model());
      for (int k = 0; k < 4; ++k) EXPECT_NEAR(x[k], mean[k], 1e-14);
    }
  }
}

// Whoever dies takes its model along; the others end without an average.
TEST(PairwiseRun, WithoutAPeerThereIsNoAverageAndAllEnd) {
  InlineExecutor pool;
  GossipWorldOptions options = Pairs(&pool, "ring", 6, 60, 3);
  options.final_average = true;
  options.edge_timeout = absl::Seconds(1);
  options.step_time = [](int) { return absl::Milliseconds(100); };
  std::map<int, int64_t> last;
  options.on_round = [&](int peer, const GossipRound& round, const PeerState&) {
    last[peer] = round.round;
  };
  auto world = GossipWorld::Create(std::move(options));
  ASSERT_OK(world);
  (*world)->world().RunAt(absl::UnixEpoch() + absl::Seconds(3),
                          [&] { (*world)->Kill(2); });
  ASSERT_OK((*world)->Run());
  for (const int peer : {0, 1, 3, 4, 5}) {
    EXPECT_EQ(last[peer], 60);
    EXPECT_EQ((*world)->node(peer).machine().committed_average(), 0);
  }
  EXPECT_LT((*world)->world().Now(), absl::UnixEpoch() + absl::Seconds(30));
}

TEST(PairwiseRun, NobodyJoinsAndTheGraphHasToFit) {
  InlineExecutor pool;
  const auto refusal = [&pool](const char* topology) {
    return GossipWorld::Create(Pairs(&pool, topology, 4, 3, 3)).status();
  };
  EXPECT_THAT(std::string(refusal("static_exponential").message()),
              testing::HasSubstr("edges have no direction"));
  EXPECT_THAT(std::string(refusal("base").message()),
              testing::HasSubstr("stays as it is"));
  GossipWorldOptions options = Pairs(&pool, "ring", 3, 30, 3);
  options.most_peers = 4;
  options.step_time = [](int) { return absl::Milliseconds(100); };
  auto world = GossipWorld::Create(std::move(options));
  ASSERT_OK(world);
  absl::Status joined;
  (*world)->world().RunAt(absl::UnixEpoch() + absl::Seconds(1), [&] {
    joined = (*world)->ChangeMembership({0, 1, 2, 3}, 1, 15,
                                        MakeSchedule(Kind("ring"), 4));
  });
  ASSERT_OK((*world)->Run());
  EXPECT_THAT(std::string(joined.message()),
              testing::HasSubstr("nobody joins"));
  EXPECT_EQ((*world)->node(0).pairwise()->step(), 31);
}

// ---------------------------------------------------------------- contraction

constexpr absl::Duration kPause = absl::Seconds(1000);

// Trains for times that are exponential, of mean 1 s: peers begin their steps,
// and so their exchanges, as Poisson clocks do. Once `from` and once `to`
// seconds of that are over the clock stands still for kPause.
class PoissonTrainer final : public Trainer {
 public:
  PoissonTrainer(uint64_t seed, int peer, double from, double to)
      : rng_(seed, "", peer, "clock"), from_(from), to_(to) {}
  absl::StatusOr<TrainResult> Train(const TrainTask&,
                                    ParameterVector&) override {
    const double began = elapsed_;
    elapsed_ -= std::log(1 - rng_.Uniform());
    double seconds = elapsed_ - began;
    for (const double pause : {from_, to_}) {
      if (began <= pause && elapsed_ > pause) {
        seconds += absl::ToDoubleSeconds(kPause);
      }
    }
    return TrainResult{.examples = 1,
                       .local_steps = static_cast<int64_t>(seconds * 1e4)};
  }
  absl::StatusOr<TrainResult> Evaluate(const TrainTask&,
                                       const ParameterVector&) override {
    return absl::UnimplementedError("no data");
  }

 private:
  Rng rng_;
  const double from_, to_;
  double elapsed_ = 0;
};

// Σ ‖x_j − x̄‖² when the exchanges that began in the first `from` seconds are
// over, and those in `to`.
std::pair<double, double> SquaredSpreads(Executor* pool, const char* topology,
                                         int peers, double from, double to,
                                         uint64_t seed) {
  GossipWorldOptions options =
      Pairs(pool, topology, peers, 1000, 20, nullptr, seed);
  options.trainer = [=](int peer) {
    return std::make_unique<PoissonTrainer>(seed, peer, from, to);
  };
  options.step_time = [](int) { return absl::Microseconds(100); };
  options.limit = 2 * kPause + absl::Seconds(to + 10);
  auto world = GossipWorld::Create(std::move(options));
  EXPECT_OK(world);
  // While all clocks stand still nobody changes a model.
  std::optional<double> first, second;
  const auto look = [&](double pauses, std::optional<double>* spread) {
    (*world)->world().RunAt(absl::UnixEpoch() + pauses * kPause, [&, spread] {
      *spread = std::pow(Spread(ModelsOf(**world)), 2);
    });
  };
  look(0.5, &first);
  look(1.5, &second);
  EXPECT_EQ((*world)->Run().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(first && second);
  return {first.value_or(0), second.value_or(0)};
}

// λ₂ of E[WᵀW] = E[W] for one exchange: W = I − ½(e_i − e_j)(e_i − e_j)ᵀ, a
// projection, i drawn evenly and j evenly of its neighbours.
double LambdaTwo(const Matrix& adjacent) {
  const int64_t m = adjacent.rows();
  Matrix mean = Matrix::Zero(m, m);
  for (int64_t i = 0; i < m; ++i) {
    const double degree = adjacent.row(i).sum();
    for (int64_t j = 0; j < m; ++j) {
      if (adjacent(i, j) == 0) continue;
      Matrix w = Matrix::Identity(m, m);
      w(i, i) = w(j, j) = w(i, j) = w(j, i) = 0.5;
      mean += w.transpose() * w / (static_cast<double>(m) * degree);
    }
  }
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(mean);
  return solver.eigenvalues()[m - 2];
}

// The factor by which E Σ‖x_j − x̄‖² shrinks a unit of time in the end: the
// largest eigenvalue of X ↦ E[W X W] for X without a mean, by power iteration.
double SecondMomentRate(const Matrix& adjacent) {
  const int64_t m = adjacent.rows();
  const Matrix off = Matrix::Identity(m, m) - Matrix::Constant(m, m, 1.0 / m);
  Matrix x = off;
  double rate = 0;
  for (int k = 0; k < 2000; ++k) {
    Matrix next = Matrix::Zero(m, m);
    for (int64_t i = 0; i < m; ++i) {
      const double degree = adjacent.row(i).sum();
      for (int64_t j = 0; j < m; ++j) {
        if (adjacent(i, j) == 0) continue;
        Matrix w = Matrix::Identity(m, m);
        w(i, i) = w(j, j) = w(i, j) = w(j, i) = 0.5;
        next += w * x * w / (static_cast<double>(m) * degree);
      }
    }
    rate = next.trace() / x.trace();
    x = off * next * off / next.trace();  // rounding brings the mean back
  }
  return rate;
}

Matrix Ring(int64_t m) {
  Matrix adjacent = Matrix::Zero(m, m);
  for (int64_t i = 0; i < m; ++i) {
    adjacent(i, (i + 1) % m) = adjacent((i + 1) % m, i) = 1;
  }
  return adjacent;
}

// How E Σ‖x_j − x̄‖² shrinks from one time to another, over many runs.
double MeasuredFactor(const char* topology, int peers, double from, double to) {
  InlineExecutor pool;
  double before = 0, after = 0;
  for (int seed = 1; seed <= 120; ++seed) {
    const auto [first, second] =
        SquaredSpreads(&pool, topology, peers, from, to, seed);
    before += first;
    after += second;
  }
  return after / before;
}

// m exchanges begin in a second, and each leaves λ of the expected square: of
// the complete graph exactly, from any state.
TEST(PairwiseContraction, OfTheCompleteGraph) {
  constexpr int m = 8;
  const double lambda = LambdaTwo(Matrix::Ones(m, m) - Matrix::Identity(m, m));
  EXPECT_NEAR(lambda, 1 - 1.0 / (m - 1), 1e-12);
  const double expected = std::exp(-m * 1.0 * (1 - lambda));  // in 1 s
  EXPECT_NEAR(MeasuredFactor("complete", m, 0.5, 1.5), expected,
              0.08 * expected);
}

// Of the ring λ₂ is what is left at most; in the end it is less.
TEST(PairwiseContraction, OfTheRing) {
  constexpr int m = 8;
  const double lambda = LambdaTwo(Ring(m));
  // λ₂ of I − (1/m)·L/1, L the ring's Laplacian with degree 2: each edge is
  // drawn with probability 1/m.
  constexpr double kPi = 3.14159265358979323846;
  EXPECT_NEAR(lambda, 1 - (1 - std::cos(2 * kPi / m)) / m, 1e-12);
  const double rate = SecondMomentRate(Ring(m));
  EXPECT_LT(rate, lambda);
  const double measured = MeasuredFactor("ring", m, 4, 6);
  EXPECT_LT(measured, std::exp(-m * 2.0 * (1 - lambda)));
  const double expected = std::exp(-m * 2.0 * (1 - rate));
  EXPECT_NEAR(measured, expected, 0.15 * expected);
}

}  // namespace
}  // namespace parley
