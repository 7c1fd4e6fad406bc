#include "client/sdk/builtin_trainer.h"

#include <atomic>
#include <cmath>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/base/random.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

constexpr int64_t kRows = 50;
constexpr int64_t kFeatures = 3;

// Rows with real targets, or with -1 and +1.
template <typename T>
Dataset<T> Rows(int64_t rows, bool signs) {
  Rng rng(3, "rows");
  Examples<T> examples;
  examples.rows = rows;
  examples.features = kFeatures;
  for (int64_t i = 0; i < rows; ++i) {
    double target = 0.5;
    for (int64_t j = 0; j < kFeatures; ++j) {
      examples.dense.push_back(rng.Normal());
      target += (j + 1) * examples.dense.back();
    }
    examples.target.push_back(signs ? (target > 0 ? 1 : -1) : target);
  }
  return Dataset<T>(std::move(examples));
}

template <typename T>
BuiltinTrainerOptions<T> Options(const char* kind = "linear_regression") {
  const bool signs = std::string(kind) == "logistic";
  ModelOptions model;
  model.kind = kind;
  model.features = kFeatures;
  if (signs) model.loss = "logistic";
  BuiltinTrainerOptions<T> options;
  options.model = *MakeModel<T>(model);
  options.train = Rows<T>(kRows, signs);
  options.solver.full_batch = true;
  options.solver.steps = 5;
  options.step_size = [](int64_t, int64_t) { return 0.1; };
  options.seed = 1;
  return options;
}

template <typename T>
std::unique_ptr<Trainer> Make(BuiltinTrainerOptions<T> options) {
  return *MakeBuiltinTrainer(std::move(options));
}

TrainTask Task(int64_t round = 1) {
  TrainTask task;
  task.round = round;
  task.client = "ann";
  return task;
}

template <typename T>
std::vector<T> Values(const ParameterVector& p) {
  return std::vector<T>(p.As<T>().begin(), p.As<T>().end());
}

template <typename T>
class BuiltinTrainerTest : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(BuiltinTrainerTest, Types);

// Gradient descent on ½(w·x + b − t)², written out.
TYPED_TEST(BuiltinTrainerTest, IsGradientDescentWrittenOut) {
  using T = TypeParam;
  const BuiltinTrainerOptions<T> options = Options<T>();
  ASSERT_THAT(options.model->spec().elements(), kFeatures + 1);
  auto trainer = Make(options);
  ParameterVector w(DTypeOf<T>(), kFeatures + 1);
  ASSERT_OK_AND_ASSIGN(const TrainResult result, trainer->Train(Task(), w));

  const Batch<T> rows = options.train.All();
  std::vector<double> expected(kFeatures + 1, 0.0);
  double first_loss = 0, loss_sum = 0;
  for (int step = 0; step < 5; ++step) {
    std::vector<double> gradient(kFeatures + 1, 0.0);
    double loss = 0;
    for (int64_t i = 0; i < kRows; ++i) {
      double error = expected[kFeatures] - rows.target[i];
      for (int64_t j = 0; j < kFeatures; ++j) {
        error += expected[j] * rows.dense[i * kFeatures + j];
      }
      loss += 0.5 * error * error / kRows;
      for (int64_t j = 0; j < kFeatures; ++j) {
        gradient[j] += error * rows.dense[i * kFeatures + j] / kRows;
      }
      gradient[kFeatures] += error / kRows;
    }
    if (step == 0) first_loss = loss;
    loss_sum += loss;
    for (int64_t j = 0; j <= kFeatures; ++j) expected[j] -= 0.1 * gradient[j];
  }
  const double near = std::is_same_v<T, float> ? 1e-5 : 1e-12;
  for (int64_t j = 0; j <= kFeatures; ++j) {
    EXPECT_NEAR(w.As<T>()[j], expected[j], near);
  }
  EXPECT_EQ(result.examples, kRows);
  EXPECT_EQ(result.local_steps, 5);
  EXPECT_NEAR(result.metrics.at("first_loss"), first_loss, near * 10);
  EXPECT_NEAR(result.metrics.at("loss"), loss_sum / 5, near * 10);
}

TYPED_TEST(BuiltinTrainerTest, BatchesDependOnSeedClientAndRoundOnly) {
  using T = TypeParam;
  BuiltinTrainerOptions<T> options = Options<T>();
  options.solver = {.batch_size = 8, .epochs = 2};
  const auto train = [](BuiltinTrainerOptions<T> options, TrainTask task,
                        int before = 0) {
    auto trainer = Make(std::move(options));
    for (int i = 0; i < before; ++i) {
      ParameterVector other(DTypeOf<T>(), kFeatures + 1);
      EXPECT_OK(trainer->Train(Task(100 + i), other));
    }
    ParameterVector w(DTypeOf<T>(), kFeatures + 1);
    EXPECT_OK(trainer->Train(task, w));
    return Values<T>(w);
  };
  const std::vector<T> once = train(options, Task());
  EXPECT_EQ(train(options, Task()), once);
  EXPECT_EQ(train(options, Task(), /*before=*/2), once);
  EXPECT_NE(train(options, Task(2)), once);
  TrainTask of_bob = Task();
  of_bob.client = "bob";
  EXPECT_NE(train(options, of_bob), once);
  options.seed = 2;
  EXPECT_NE(train(options, Task()), once);
}

TYPED_TEST(BuiltinTrainerTest, StepSizeComesFromScheduleOrTask) {
  using T = TypeParam;
  BuiltinTrainerOptions<T> options = Options<T>();
  int64_t asked_round = 0, asked_steps = 0;
  options.step_size = [&](int64_t round, int64_t steps) {
    asked_round = round;
    asked_steps = steps;
    return 0.25;
  };
  const auto train = [](BuiltinTrainerOptions<T> options, TrainTask task) {
    auto trainer = Make(std::move(options));
    ParameterVector w(DTypeOf<T>(), kFeatures + 1);
    EXPECT_OK(trainer->Train(task, w));
    return Values<T>(w);
  };
  const std::vector<T> scheduled = train(options, Task(7));
  EXPECT_EQ(asked_round, 7);
  EXPECT_EQ(asked_steps, 5);
  TrainTask told = Task(7);
  told.values["step_size"] = 0.05;
  EXPECT_NE(train(options, told), scheduled);
  options.step_size = [](int64_t, int64_t) { return 0.05; };
  EXPECT_EQ(train(options, Task(7)), train(options, told));
}

TYPED_TEST(BuiltinTrainerTest, StopsWhenCancelled) {
  using T = TypeParam;
  auto trainer = Make(Options<T>());
  std::atomic<bool> cancelled = true;
  TrainTask task = Task();
  task.cancelled = &cancelled;
  ParameterVector w(DTypeOf<T>(), kFeatures + 1);
  EXPECT_THAT(trainer->Train(task, w),
              StatusIs(absl::StatusCode::kCancelled, ""));
  EXPECT_EQ(Values<T>(w), std::vector<T>(kFeatures + 1));
}

TYPED_TEST(BuiltinTrainerTest, SaysHowFarItIs) {
  using T = TypeParam;
  BuiltinTrainerOptions<T> options = Options<T>();
  options.held_out = Rows<T>(2500, /*signs=*/false);
  auto trainer = Make(std::move(options));
  std::atomic<double> fraction = -1;
  TrainTask task = Task();
  task.fraction = &fraction;
  ParameterVector w(DTypeOf<T>(), kFeatures + 1);
  EXPECT_OK(trainer->Train(task, w));
  EXPECT_EQ(fraction, 4.0 / 5);  // before the last of the five steps
  EXPECT_OK(trainer->Evaluate(task, w));
  EXPECT_EQ(fraction, 2048.0 / 2500);  // before the last piece
}

TYPED_TEST(BuiltinTrainerTest, EvaluatesOnRowsHeldOut) {
  using T = TypeParam;
  constexpr int64_t kHeldOut = 2500;  // several pieces
  BuiltinTrainerOptions<T> options = Options<T>("logistic");
  options.held_out = Rows<T>(kHeldOut, /*signs=*/true);
  const int64_t n = options.model->spec().elements();
  ASSERT_EQ(n, kFeatures + 1);
  const Batch<T> rows = options.held_out.All();
  auto trainer = Make(options);
  ParameterVector w(DTypeOf<T>(), n);
  w.As<T>()[0] = 1;
  ASSERT_OK_AND_ASSIGN(const TrainResult result, trainer->Evaluate(Task(), w));

  double loss = 0, correct = 0;
  for (int64_t i = 0; i < kHeldOut; ++i) {
    const double margin = rows.target[i] * rows.dense[i * kFeatures];
    loss += std::log1p(std::exp(-margin));
    correct += margin > 0;
  }
  EXPECT_EQ(result.examples, kHeldOut);
  EXPECT_NEAR(result.metrics.at("loss"), loss / kHeldOut, 1e-5);
  EXPECT_NEAR(result.metrics.at("accuracy"), correct / kHeldOut, 1e-9);
}

TYPED_TEST(BuiltinTrainerTest, SaysWhatIsWrong) {
  using T = TypeParam;
  auto trainer = Make(Options<T>());
  ParameterVector w(DTypeOf<T>(), kFeatures + 1);
  EXPECT_THAT(trainer->Evaluate(Task(), w),
              StatusIs(absl::StatusCode::kUnimplemented, "holds no rows out"));

  TrainTask task = Task();
  task.values["step_size"] = -1;
  EXPECT_THAT(trainer->Train(task, w),
              StatusIs(absl::StatusCode::kInvalidArgument, "step size is -1"));
  task.values["step_size"] = 1e200;
  EXPECT_THAT(trainer->Train(task, w),
              StatusIs(absl::StatusCode::kInternal, "training diverged"));

  EXPECT_OK(trainer->Accepts(Options<T>().model->spec()));
  ASSERT_OK_AND_ASSIGN(
      const ParameterSpec other,
      ParameterSpec::Create(DTypeOf<T>(), {{"x", {2}, MergeRule::kMean}}));
  EXPECT_THAT(trainer->Accepts(other),
              StatusIs(absl::StatusCode::kFailedPrecondition, "x[2]mean"));

  BuiltinTrainerOptions<T> empty = Options<T>();
  empty.train = Dataset<T>();
  EXPECT_THAT(MakeBuiltinTrainer(std::move(empty)),
              StatusIs(absl::StatusCode::kInvalidArgument, "no rows"));
  BuiltinTrainerOptions<T> narrow = Options<T>();
  ModelOptions model;
  model.kind = "linear_regression";
  model.features = kFeatures + 1;
  narrow.model = *MakeModel<T>(model);
  EXPECT_THAT(MakeBuiltinTrainer(std::move(narrow)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "3 features, the run's model 4"));
}

// Indices that would lead outside the table.
TYPED_TEST(BuiltinTrainerTest, RefusesRowsThatAreNoSymbols) {
  using T = TypeParam;
  BuiltinTrainerOptions<T> options = Options<T>();
  ModelOptions model;
  model.kind = "embedding_mlp";
  model.features = kFeatures;
  model.classes = model.vocabulary = 4;
  model.dimension = 2;
  options.model = *MakeModel<T>(model);
  Examples<T> symbols;
  symbols.rows = 1;
  symbols.features = kFeatures;
  symbols.dense = {0, 3, 1};
  symbols.target = {2};
  options.train = Dataset<T>(symbols);
  EXPECT_OK(MakeBuiltinTrainer(options));
  symbols.dense[1] = 4;
  options.held_out = Dataset<T>(symbols);
  EXPECT_THAT(MakeBuiltinTrainer(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "this client's data does not fit: feature 2 of a row is "
                       "4: embedding_mlp takes symbols"));
}

// A logistic model without a bias, over the given rows.
BuiltinTrainerOptions<double> MarginOptions(Dataset<double> train,
                                            MarginLoss loss) {
  auto options = Options<double>("logistic");
  ModelOptions model;
  model.kind = "logistic";
  model.features = train.features();
  model.bias = false;
  model.loss = loss == MarginLoss::kLogistic ? "logistic" : "exponential";
  options.model = *MakeModel<double>(model);
  options.margin_loss = loss;
  options.train = std::move(train);
  options.solver.steps = 20;
  return options;
}

// Fewer rows than features, and more.
std::vector<Dataset<double>> FewAndManyRows() {
  const Dataset<double> rows = Rows<double>(kRows, /*signs=*/true);
  return {rows.Slice(0, 2), rows};
}

TEST(BuiltinTrainerTest, StepsInTheSpanOfItsRowsWithTheSameResult) {
  for (const Dataset<double>& rows : FewAndManyRows()) {
    for (const MarginLoss loss :
         {MarginLoss::kLogistic, MarginLoss::kExponential}) {
      BuiltinTrainerOptions<double> options = MarginOptions(rows, loss);
      const auto by_margins = Make(options);
      options.margin_loss.reset();
      const auto by_gradients = Make(options);
      ParameterVector w(DType::kFloat64, kFeatures);
      ParameterVector want(DType::kFloat64, kFeatures);
      for (int round = 1; round <= 3; ++round) {
        ASSERT_OK_AND_ASSIGN(const TrainResult got,
                             by_margins->Train(Task(round), w));
        ASSERT_OK_AND_ASSIGN(const TrainResult wanted,
                             by_gradients->Train(Task(round), want));
        EXPECT_EQ(got.examples, wanted.examples);
        EXPECT_EQ(got.local_steps, 20);
        for (const char* name : {"loss", "first_loss"}) {
          EXPECT_NEAR(got.metrics.at(name), wanted.metrics.at(name), 1e-14);
        }
        EXPECT_NEAR(got.metrics.at("log_loss"),
                    std::log(wanted.metrics.at("first_loss")), 1e-14);
        EXPECT_EQ(wanted.metrics.count("log_loss"), 0);
      }
      for (int64_t j = 0; j < kFeatures; ++j) {
        EXPECT_NEAR(w.As<double>()[j], want.As<double>()[j], 1e-14);
      }
    }
  }
}

TEST(BuiltinTrainerTest, TellsTheLogLossWhateverSolves) {
  auto options =
      MarginOptions(Rows<double>(kRows, true), MarginLoss::kLogistic);
  options.solver = {.batch_size = 8, .steps = 3};
  ParameterVector w(DType::kFloat64, kFeatures);
  ASSERT_OK_AND_ASSIGN(const TrainResult result,
                       Make(options)->Train(Task(), w));
  EXPECT_NEAR(result.metrics.at("log_loss"), std::log(std::log(2)), 1e-15);
}

TEST(BuiltinTrainerTest, DividesTheStepByTheLossThatItIsTold) {
  for (const Dataset<double>& rows : FewAndManyRows()) {
    auto options = MarginOptions(rows, MarginLoss::kExponential);
    const auto by_hand = Make(options);
    options.loss_normalised = true;
    const auto trainer = Make(options);
    ParameterVector w(DType::kFloat64, kFeatures);
    ParameterVector want(DType::kFloat64, kFeatures);
    TrainTask task = Task();
    EXPECT_THAT(trainer->Train(task, w),
                StatusIs(absl::StatusCode::kInvalidArgument, "no log_loss"));
    task.values["log_loss"] = std::log(0.25);
    ASSERT_OK(trainer->Train(task, w));
    task.values["step_size"] = 0.4;
    ASSERT_OK(by_hand->Train(task, want));
    for (int64_t j = 0; j < kFeatures; ++j) {
      EXPECT_NEAR(w.As<double>()[j], want.As<double>()[j], 1e-14);
    }

    std::atomic<bool> cancelled = true;
    std::atomic<double> fraction = -1;
    task.cancelled = &cancelled;
    task.fraction = &fraction;
    EXPECT_THAT(trainer->Train(task, w),
                StatusIs(absl::StatusCode::kCancelled, ""));
    EXPECT_EQ(fraction, 0);
    cancelled = false;
    task.values = {{"log_loss", -1e6}};
    EXPECT_THAT(trainer->Train(task, w),
                StatusIs(absl::StatusCode::kInternal, "training diverged"));
  }
  auto options =
      MarginOptions(Rows<double>(kRows, true), MarginLoss::kLogistic);
  options.loss_normalised = true;
  options.solver.momentum = 0.5;
  EXPECT_THAT(MakeBuiltinTrainer(options),
              StatusIs(absl::StatusCode::kInvalidArgument, "without momentum"));
}

TEST(BuiltinTrainerTest, SolvesTheLocalProblemExactly) {
  auto options = Options<double>("logistic");
  options.exact_prox = ExactProxOptions{.log_lambda = std::log(0.5)};
  const auto trainer = Make(options);
  ParameterVector w(DType::kFloat64, kFeatures);
  const std::vector<double> start = {0.2, -0.1, 0.3};
  std::copy(start.begin(), start.end(), w.As<double>().begin());
  ASSERT_OK_AND_ASSIGN(const TrainResult result, trainer->Train(Task(), w));
  EXPECT_EQ(result.examples, kRows);
  EXPECT_GT(result.local_steps, 0);
  // Where the gradient of its objective is 0, and of what loss it started.
  const Batch<double> batch = options.train.All();
  std::vector<double> gradient(kFeatures);
  double loss = 0;
  for (int64_t j = 0; j < kFeatures; ++j) {
    gradient[j] = 0.5 * (w.As<double>()[j] - start[j]);
  }
  for (int64_t n = 0; n < kRows; ++n) {
    double margin = 0, before = 0;
    for (int64_t j = 0; j < kFeatures; ++j) {
      const double z = batch.target[n] * batch.dense[n * kFeatures + j];
      margin += z * w.As<double>()[j];
      before += z * start[j];
    }
    loss += std::exp(-before) / kRows;
    for (int64_t j = 0; j < kFeatures; ++j) {
      gradient[j] -=
          std::exp(-margin) * batch.target[n] * batch.dense[n * kFeatures + j];
    }
  }
  for (const double g : gradient) EXPECT_NEAR(g, 0, 1e-9);
  EXPECT_NEAR(result.metrics.at("log_loss"), std::log(loss), 1e-12);

  std::atomic<bool> cancelled = true;
  TrainTask task = Task();
  task.cancelled = &cancelled;
  EXPECT_THAT(trainer->Train(task, w),
              StatusIs(absl::StatusCode::kCancelled, ""));
  auto single = Options<float>("logistic");
  single.exact_prox = ExactProxOptions{};
  EXPECT_THAT(MakeBuiltinTrainer(std::move(single)),
              StatusIs(absl::StatusCode::kInvalidArgument, "FLOAT64"));
}

}  // namespace
}  // namespace parley
