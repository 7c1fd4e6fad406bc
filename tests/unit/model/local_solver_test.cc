#include "common/model/local_solver.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "tests/unit/model/examples.h"

namespace parley {
namespace {

constexpr int64_t kFeatures = 4;

bool Always() { return true; }

TEST(PlannedStepsTest, CountsBatches) {
  EXPECT_EQ(PlannedSteps({.full_batch = true, .steps = 7}, 100), 7);
  EXPECT_EQ(PlannedSteps({.batch_size = 10, .steps = 7}, 100), 7);
  EXPECT_EQ(PlannedSteps({.batch_size = 10, .epochs = 1}, 100), 10);
  EXPECT_EQ(PlannedSteps({.batch_size = 10, .epochs = 1}, 101), 11);
  EXPECT_EQ(PlannedSteps({.batch_size = 10, .epochs = 2.5}, 100), 25);
  EXPECT_EQ(PlannedSteps({.batch_size = 1000, .epochs = 3}, 100), 3);
  EXPECT_EQ(PlannedSteps({.batch_size = 1000, .epochs = 0.01}, 100), 1);
  EXPECT_EQ(PlannedSteps({.batch_size = 10, .epochs = 1}, 0), 0);
  EXPECT_GT(PlannedSteps({.batch_size = 1, .epochs = 1e300}, 100), 1000);
  const int64_t most = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(PlannedSteps({.batch_size = most, .epochs = 2}, most), 2);
}

class LocalSolverTest : public testing::Test {
 protected:
  LocalSolverTest()
      : model_(MustMake<double>(
            {.kind = "linear_regression", .features = kFeatures})),
        data_(DrawData<double>(23, kFeatures, TargetKind::kReal, 0,
                               Rng(1, "data"))),
        source_(data_),
        w_(kFeatures + 1) {}

  absl::StatusOr<LocalResult> Run(const LocalSolverOptions& options,
                                  double step_size) {
    Rng rng(9, "client", 3, "batches");
    return Solve<double>(*model_, options, step_size, source_, rng,
                         absl::MakeSpan(w_), Always);
  }

  const std::unique_ptr<Model<double>> model_;
  const TestData<double> data_;
  TestSource<double> source_;
  std::vector<double> w_;
};

// Solves the normal equations by elimination: those of the sum of squares, and
// of a proximal term mu/2·‖w − start‖² a row.
std::vector<double> LeastSquares(
    const TestData<double>& data, double mu = 0,
    const std::vector<double>& start = std::vector<double>(kFeatures + 1)) {
  constexpr int64_t kN = kFeatures + 1;
  double a[kN][kN + 1] = {};
  const double weight = mu * static_cast<double>(data.rows);
  for (int64_t i = 0; i < kN; ++i) {
    a[i][i] = weight;
    a[i][kN] = weight * start[i];
  }
  for (int64_t r = 0; r < data.rows; ++r) {
    double x[kN + 1];
    std::copy_n(&data.dense[r * kFeatures], kFeatures, x);
    x[kFeatures] = 1;
    x[kN] = data.target[r];
    for (int64_t i = 0; i < kN; ++i) {
      for (int64_t j = 0; j <= kN; ++j) a[i][j] += x[i] * x[j];
    }
  }
  for (int64_t p = 0; p < kN; ++p) {
    for (int64_t i = 0; i < kN; ++i) {
      if (i == p) continue;
      const double factor = a[i][p] / a[p][p];
      for (int64_t j = 0; j <= kN; ++j) a[i][j] -= factor * a[p][j];
    }
  }
  std::vector<double> w;
  for (int64_t p = 0; p < kN; ++p) w.push_back(a[p][kN] / a[p][p]);
  return w;
}

TEST_F(LocalSolverTest, GradientDescentFindsTheLeastSquares) {
  ASSERT_OK_AND_ASSIGN(const LocalResult result,
                       Run({.full_batch = true, .steps = 3000}, 0.5));
  EXPECT_EQ(result.steps, 3000);
  const std::vector<double> want = LeastSquares(data_);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(w_[i], want[i], 1e-10);
  double first = 0;
  for (double t : data_.target) first += 0.5 * t * t / 23;
  EXPECT_NEAR(result.first_loss, first, 1e-12);
  EXPECT_LT(result.mean_loss, first);
  EXPECT_TRUE(source_.asked.empty());
}

TEST_F(LocalSolverTest, StepsAreThoseOfTheFormula) {
  w_ = {0.1, -0.2, 0.3, -0.4, 0.5};
  std::vector<double> w = w_, velocity(w.size());
  constexpr double kEta = 0.05, kMu = 0.9, kLambda = 0.03;
  ASSERT_OK_AND_ASSIGN(const LocalResult result, Run({.batch_size = 5,
                                                      .steps = 12,
                                                      .momentum = kMu,
                                                      .weight_decay = kLambda},
                                                     kEta));
  ASSERT_EQ(source_.asked.size(), 12u);
  double losses = 0, first = 0;
  for (size_t step = 0; step < 12; ++step) {
    const std::vector<int64_t>& rows = source_.asked[step];
    std::vector<double> g(w.size());
    double loss = 0;
    for (int64_t r : rows) {
      const double* x = &data_.dense[r * kFeatures];
      double residual = w[kFeatures] - data_.target[r];
      for (int64_t i = 0; i < kFeatures; ++i) residual += w[i] * x[i];
      const double n = static_cast<double>(rows.size());
      loss += 0.5 * residual * residual / n;
      for (int64_t i = 0; i < kFeatures; ++i) g[i] += residual * x[i] / n;
      g[kFeatures] += residual / n;
    }
    if (step == 0) first = loss;
    losses += loss;
    for (size_t i = 0; i < w.size(); ++i) {
      velocity[i] = kMu * velocity[i] + (g[i] + kLambda * w[i]);
      w[i] -= kEta * velocity[i];
    }
  }
  for (size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(w_[i], w[i], 1e-13);
  EXPECT_NEAR(result.first_loss, first, 1e-13);
  EXPECT_NEAR(result.mean_loss, losses / 12, 1e-13);
}

// FedProx on a quadratic: H·w + μ(w − w₀) = b where the local objective is
// least.
TEST_F(LocalSolverTest, TheProximalTermHoldsToTheStart) {
  const std::vector<double> start = {3, -2, 1, 0.5, -4};
  double before = 0;
  for (double mu : {0.0, 0.3, 5.0, 1e3}) {
    w_ = start;
    ASSERT_OK_AND_ASSIGN(
        const LocalResult result,
        Run({.full_batch = true, .steps = 4000, .proximal = mu}, 1 / (2 + mu)));
    const std::vector<double> want = LeastSquares(data_, mu, start);
    double distance = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(w_[i], want[i], 1e-10) << mu;
      distance += std::pow(w_[i] - start[i], 2);
    }
    if (mu > 0) {
      EXPECT_LT(distance, before / 2);
    }
    before = distance;
    // The loss is that of the rows alone: w₀ is no less far from it.
    double first = 0;
    for (int64_t r = 0; r < data_.rows; ++r) {
      double residual = start[kFeatures] - data_.target[r];
      for (int64_t i = 0; i < kFeatures; ++i) {
        residual += start[i] * data_.dense[r * kFeatures + i];
      }
      first += 0.5 * residual * residual / 23;
    }
    EXPECT_NEAR(result.first_loss, first, 1e-12 * first);
  }
}

TEST_F(LocalSolverTest, TheFirstStepKnowsNoProximalTerm) {
  w_ = {0.1, -0.2, 0.3, -0.4, 0.5};
  const std::vector<double> start = w_;
  ASSERT_OK(Run({.batch_size = 5, .steps = 1}, 0.3));
  const std::vector<double> without = std::exchange(w_, start);
  ASSERT_OK(Run({.batch_size = 5, .steps = 1, .proximal = 7}, 0.3));
  EXPECT_EQ(w_, without);  // w is w₀
  w_ = start;
  ASSERT_OK(Run({.batch_size = 5, .steps = 2, .proximal = 7}, 0.3));
  const std::vector<double> two = std::exchange(w_, start);
  ASSERT_OK(Run({.batch_size = 5, .steps = 2}, 0.3));
  EXPECT_NE(w_, two);
}

// With momentum, decay and mini-batches, against the formula.
TEST_F(LocalSolverTest, TheProximalTermIsPartOfTheGradient) {
  w_ = {0.1, -0.2, 0.3, -0.4, 0.5};
  const std::vector<double> start = w_;
  std::vector<double> w = w_, velocity(w.size()), g(w.size());
  const LocalSolverOptions options{.batch_size = 5,
                                   .steps = 12,
                                   .momentum = 0.9,
                                   .weight_decay = 0.03,
                                   .proximal = 0.7};
  ASSERT_OK(Run(options, 0.05));
  Workspace<double> workspace;
  TestSource<double> again(data_);
  const auto asked = source_.asked;
  for (const std::vector<int64_t>& rows : asked) {
    model_->LossAndGradient(w, again.Gather(rows), absl::MakeSpan(g),
                            workspace);
    for (size_t i = 0; i < w.size(); ++i) {
      velocity[i] =
          0.9 * velocity[i] + (g[i] + 0.03 * w[i] + 0.7 * (w[i] - start[i]));
      w[i] -= 0.05 * velocity[i];
    }
  }
  for (size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(w_[i], w[i], 1e-13);
}

TEST_F(LocalSolverTest, AnEpochTakesEveryRowOnce) {
  ASSERT_OK(Run({.batch_size = 5, .epochs = 3}, 0.01));
  ASSERT_EQ(source_.asked.size(), 15u);  // 5 batches of 23 rows each
  std::vector<std::vector<int64_t>> epochs;
  for (size_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> rows;
    for (size_t b = 0; b < 5; ++b) {
      const auto& batch = source_.asked[5 * epoch + b];
      EXPECT_EQ(batch.size(), b < 4 ? 5u : 3u);
      rows.insert(rows.end(), batch.begin(), batch.end());
    }
    epochs.push_back(rows);
    std::sort(rows.begin(), rows.end());
    for (int64_t i = 0; i < 23; ++i) ASSERT_EQ(rows[i], i);
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
}

TEST_F(LocalSolverTest, EveryRowIsAsLikelyToComeFirst) {
  std::vector<int> count(23);
  for (int64_t round = 0; round < 23 * 200; ++round) {
    Rng rng(9, "client", round, "batches");
    ASSERT_OK(Solve<double>(*model_, {.batch_size = 1, .steps = 1}, 0, source_,
                            rng, absl::MakeSpan(w_), Always));
    ++count[source_.asked.back()[0]];
  }
  for (int c : count) EXPECT_NEAR(c, 200, 75);  // five standard deviations
}

TEST_F(LocalSolverTest, TheSameStreamGivesTheSameModel) {
  const LocalSolverOptions options{.batch_size = 4, .epochs = 2};
  ASSERT_OK(Run(options, 0.1));
  const std::vector<double> first = w_;
  w_.assign(w_.size(), 0);
  ASSERT_OK(Run(options, 0.1));
  EXPECT_EQ(w_, first);
}

TEST_F(LocalSolverTest, ABatchIsAtMostTheRowsThereAre) {
  ASSERT_OK_AND_ASSIGN(const LocalResult result,
                       Run({.batch_size = 1000, .epochs = 2}, 0.1));
  EXPECT_EQ(result.steps, 2);
  EXPECT_EQ(source_.asked[1].size(), 23u);
}

TEST_F(LocalSolverTest, StopsWhenTold) {
  Rng rng(9, "batches");
  int asked = 0;
  EXPECT_THAT(
      Solve<double>(*model_, {.batch_size = 5, .steps = 100}, 0.1, source_, rng,
                    absl::MakeSpan(w_), [&] { return ++asked < 4; }),
      StatusIs(absl::StatusCode::kCancelled, "stopped"));
  EXPECT_EQ(asked, 4);
  EXPECT_EQ(source_.asked.size(), 3u);
}

TEST_F(LocalSolverTest, RefusesNoRows) {
  const TestData<double> none{.rows = 0, .features = kFeatures};
  TestSource<double> source(none);
  Rng rng(9, "batches");
  EXPECT_THAT(Solve<double>(*model_, {.full_batch = true, .steps = 1}, 0.1,
                            source, rng, absl::MakeSpan(w_), Always),
              StatusIs(absl::StatusCode::kInvalidArgument, "no rows"));
}

// Mixture of two classes an MLP must bend to separate.
TEST(LocalSolverMlpTest, LearnsExclusiveOr) {
  TestData<float> data{.rows = 400, .features = 2};
  Rng rng(2, "xor");
  for (int64_t r = 0; r < data.rows; ++r) {
    const double x = 2 * rng.Uniform() - 1, y = 2 * rng.Uniform() - 1;
    data.dense.push_back(static_cast<float>(x));
    data.dense.push_back(static_cast<float>(y));
    data.target.push_back(x * y > 0 ? 1 : 0);
  }
  const auto model = MustMake<float>(
      {.kind = "mlp", .features = 2, .classes = 2, .hidden = {16}});
  std::vector<float> w(model->spec().elements());
  model->Initialize(rng, absl::MakeSpan(w));
  TestSource<float> source(data);
  ASSERT_OK(Solve<float>(*model,
                         {.batch_size = 20, .epochs = 60, .momentum = 0.9}, 0.1,
                         source, rng, absl::MakeSpan(w), Always));
  Workspace<float> workspace;
  EXPECT_GT(model->Evaluate(w, data.Dense(), workspace).correct, 380);
}

}  // namespace
}  // namespace parley
