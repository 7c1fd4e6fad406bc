// What each model is by itself: its parameters, its start, its extremes.
#include <cmath>
#include <limits>

#include "common/model/model.h"
#include "tests/unit/model/examples.h"

namespace parley {
namespace {

using testing::Each;
using testing::ElementsAre;

TEST(MakeModelTest, UnknownNamesListTheKnownOnes) {
  const auto code = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(MakeModel<float>({.kind = "rnn", .features = 3}),
              StatusIs(code,
                       "linear_regression, logistic, softmax, mlp, cnn, "
                       "embedding_mlp"));
  EXPECT_THAT(MakeModel<float>({.kind = "logistic", .features = 0}),
              StatusIs(code, "at least 1 feature"));
  EXPECT_THAT(
      MakeModel<float>({.kind = "logistic", .features = 3, .loss = "hinge"}),
      StatusIs(code, "known are logistic, exponential"));
  EXPECT_THAT(
      MakeModel<float>({.kind = "softmax", .features = 3, .classes = 1}),
      StatusIs(code, "at least 2 classes"));
  ModelOptions mlp{.kind = "mlp", .features = 3, .classes = 2, .hidden = {4}};
  EXPECT_OK(MakeModel<float>(mlp));
  mlp.activation = "gelu";
  EXPECT_THAT(MakeModel<float>(mlp), StatusIs(code, "known are relu, tanh"));
  mlp.activation = "relu";
  mlp.hidden = {4, 0};
  EXPECT_THAT(MakeModel<float>(mlp), StatusIs(code, "1 to 65536 units, not 0"));
  mlp.hidden = {};
  mlp.loss = "hinge";
  EXPECT_THAT(MakeModel<float>(mlp),
              StatusIs(code, "known are cross_entropy, squared"));
  mlp.loss = "cross_entropy";
  mlp.classes = 0;
  EXPECT_THAT(MakeModel<float>(mlp), StatusIs(code, "at least 2 classes"));
  EXPECT_THAT(
      MakeModel<float>(
          {.kind = "softmax", .features = int64_t{1} << 40, .classes = 3}),
      StatusIs(code, "2^40"));
}

TEST(MakeModelTest, CnnsSayWhatDoesNotFit) {
  const auto code = absl::StatusCode::kInvalidArgument;
  const ModelOptions good = Cnn(1, 6, 5, {{.channels = 4}}, {3});
  EXPECT_OK(MakeModel<float>(good));
  const auto refuse = [&](const ConvolutionOptions& convolution,
                          const std::string& why) {
    ModelOptions cnn = good;
    cnn.convolutions.push_back(convolution);
    EXPECT_THAT(MakeModel<float>(cnn), StatusIs(code, why));
  };
  refuse({.channels = 0}, "conv[1] of the cnn: channels is 0: must be >= 1");
  refuse({.channels = 2, .kernel = 0}, "kernel is 0: must be >= 1 and <= 64");
  refuse({.channels = 2, .kernel = 65}, "kernel is 65");
  refuse({.channels = 2, .padding = 3}, "padding is 3: must be >= 0 and <= 2");
  refuse({.channels = 2, .pool = 0}, "pool is 0");
  refuse({.channels = 2},
         "conv[1] of the cnn has no room: of 2×1 with padding 0 a kernel of 3 "
         "and pools of 2 leave nothing");
  refuse({.channels = 2, .kernel = 1, .pool = 2}, "has no room");
  ModelOptions cnn = good;
  cnn.features = 31;
  EXPECT_THAT(
      MakeModel<float>(cnn),
      StatusIs(code, "1 channels of 6×5 are not the 31 features of a row"));
  cnn = good;
  cnn.convolutions.clear();
  EXPECT_THAT(MakeModel<float>(cnn), StatusIs(code, "at least one"));
  cnn = good;
  cnn.classes = 1;
  EXPECT_THAT(MakeModel<float>(cnn), StatusIs(code, "at least 2 classes"));
  cnn = good;
  cnn.hidden = {0};
  EXPECT_THAT(MakeModel<float>(cnn), StatusIs(code, "1 to 65536 units, not 0"));
  // Each number in its range, and together more than any memory holds.
  const ConvolutionOptions wide{.channels = 65536, .kernel = 64, .pool = 1};
  EXPECT_THAT(MakeModel<float>(Cnn(1, 30000, 30000, {wide, wide}, {})),
              StatusIs(code, "conv[0] of the cnn is too large"));
}

ModelOptions SmallEmbedding() {
  return {.kind = "embedding_mlp",
          .features = 3,
          .classes = 5,
          .hidden = {4},
          .vocabulary = 5,
          .dimension = 2};
}

TEST(MakeModelTest, EmbeddingsSayWhatDoesNotFit) {
  const auto code = absl::StatusCode::kInvalidArgument;
  EXPECT_OK(MakeModel<float>(SmallEmbedding()));
  ModelOptions options = SmallEmbedding();
  options.vocabulary = 0;
  EXPECT_THAT(MakeModel<float>(options),
              StatusIs(code, "1 to 1048576 symbols, not 0"));
  options = SmallEmbedding();
  options.dimension = 65537;
  EXPECT_THAT(MakeModel<float>(options), StatusIs(code, "1 to 65536, not 65"));
  options = SmallEmbedding();
  options.classes = 0;
  EXPECT_THAT(MakeModel<float>(options), StatusIs(code, "at least 2 classes"));
  options = SmallEmbedding();
  options.activation = "gelu";
  EXPECT_THAT(MakeModel<float>(options),
              StatusIs(code, "known are relu, tanh"));
}

TEST(CheckInputsTest, EmbeddingsTakeIndicesOfTheirVocabularyAlone) {
  const auto model = MustMake<float>(SmallEmbedding());
  const auto check = [&](float x) {
    const std::vector<float> rows = {0, 1, 4, 2, x, 3};
    return model->CheckInputs({.rows = 2, .features = 3, .dense = rows.data()});
  };
  EXPECT_OK(check(0));
  EXPECT_OK(check(4));
  for (float bad : {5.0f, -1.0f, 0.5f, 1e30f, -INFINITY, NAN}) {
    EXPECT_THAT(check(bad), StatusIs(absl::StatusCode::kInvalidArgument,
                                     "feature 2 of a row is "))
        << bad;
  }
  EXPECT_THAT(check(5),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "is 5: embedding_mlp takes symbols, whole "
                       "numbers from 0 to 4, as its vocabulary is 5"));
  const std::vector<int64_t> row_begin = {0, 2};
  const std::vector<int32_t> column = {0, 2};
  const std::vector<float> value = {1, 7};
  EXPECT_THAT(
      model->CheckInputs({.rows = 1,
                          .features = 3,
                          .row_begin = row_begin.data(),
                          .column = column.data(),
                          .value = value.data()}),
      StatusIs(absl::StatusCode::kInvalidArgument, "feature 3 of a row is 7"));
  // Others take any number.
  const auto mlp =
      MustMake<float>({.kind = "mlp", .features = 1, .classes = 2});
  const float any = -0.5f;
  EXPECT_OK(mlp->CheckInputs({.rows = 1, .features = 1, .dense = &any}));
}

TEST(ModelSpecTest, ParametersAreNamedAndShaped) {
  EXPECT_EQ(
      MustMake<float>({.kind = "logistic", .features = 5})->spec().ToString(),
      "float32;weight[5]mean;bias[1]mean;");
  EXPECT_EQ(MustMake<double>(
                {.kind = "linear_regression", .features = 5, .bias = false})
                ->spec()
                .ToString(),
            "float64;weight[5]mean;");
  EXPECT_EQ(MustMake<float>({.kind = "softmax", .features = 5, .classes = 3})
                ->spec()
                .ToString(),
            "float32;weight[3,5]mean;bias[3]mean;");
  EXPECT_EQ(MustMake<float>(
                {.kind = "mlp", .features = 5, .classes = 3, .hidden = {4}})
                ->spec()
                .ToString(),
            "float32;layer0.weight[4,5]mean;layer0.bias[4]mean;"
            "layer1.weight[3,4]mean;layer1.bias[3]mean;");
  EXPECT_EQ(
      MustMake<float>(Cnn(2, 12, 11, {{.channels = 4}, {.channels = 5}}, {6}))
          ->spec()
          .ToString(),
      "float32;conv0.weight[4,2,3,3]mean;conv0.bias[4]mean;"
      "conv1.weight[5,4,3,3]mean;conv1.bias[5]mean;"
      "layer0.weight[6,5]mean;layer0.bias[6]mean;"
      "layer1.weight[3,6]mean;layer1.bias[3]mean;");
  EXPECT_EQ(MustMake<float>(SmallEmbedding())->spec().ToString(),
            "float32;embedding.weight[5,2]mean;layer0.weight[4,6]mean;"
            "layer0.bias[4]mean;layer1.weight[5,4]mean;layer1.bias[5]mean;");
}

TEST(InitializeTest, ConvexModelsStartAtZeroAndMlpsWithinTheirLimits) {
  Rng rng(1, "init");
  const auto softmax =
      MustMake<float>({.kind = "softmax", .features = 5, .classes = 3});
  std::vector<float> w(softmax->spec().elements(), 1.0f);
  softmax->Initialize(rng, absl::MakeSpan(w));
  EXPECT_THAT(w, Each(0.0f));

  for (const char* activation : {"relu", "tanh"}) {
    const auto mlp = MustMake<float>({.kind = "mlp",
                                      .features = 100,
                                      .classes = 10,
                                      .hidden = {50},
                                      .activation = activation});
    w.assign(mlp->spec().elements(), NAN);
    mlp->Initialize(rng, absl::MakeSpan(w));
    const double limits[] = {
        std::sqrt(6.0 / (activation == std::string("relu") ? 100 : 150)), 0,
        std::sqrt(6.0 / 60), 0};
    for (size_t t = 0; t < 4; ++t) {
      double largest = 0, square = 0;
      const int64_t n = mlp->spec().tensors()[t].elements();
      for (int64_t i = 0; i < n; ++i) {
        const double x = w[mlp->spec().offset(t) + i];
        largest = std::max(largest, std::abs(x));
        square += x * x / static_cast<double>(n);
      }
      EXPECT_LE(largest, limits[t]);
      EXPECT_GE(largest, 0.95 * limits[t]);
      EXPECT_NEAR(square, limits[t] * limits[t] / 3, 0.15 * square);
    }
  }
}

TEST(InitializeTest, WindowsStartHesWayAndSymbolsAsStandardNormals) {
  Rng rng(1, "init");
  const auto cnn =
      MustMake<double>(Cnn(8, 9, 9, {{.channels = 16, .kernel = 5}}, {}));
  std::vector<double> w(cnn->spec().elements(), NAN);
  cnn->Initialize(rng, absl::MakeSpan(w));
  const int64_t n = 16 * 8 * 25;
  const double limit = std::sqrt(6.0 / (8 * 25));
  double largest = 0, square = 0;
  for (int64_t i = 0; i < n; ++i) {
    largest = std::max(largest, std::abs(w[i]));
    square += w[i] * w[i] / n;
  }
  EXPECT_LE(largest, limit);
  EXPECT_GE(largest, 0.99 * limit);
  EXPECT_NEAR(square, limit * limit / 3, 0.1 * square);
  for (int64_t i = n; i < n + 16; ++i) EXPECT_EQ(w[i], 0);

  ModelOptions options = SmallEmbedding();
  options.vocabulary = 1000;
  const auto embedding = MustMake<double>(options);
  w.assign(embedding->spec().elements(), NAN);
  embedding->Initialize(rng, absl::MakeSpan(w));
  double sum = 0;
  square = 0;
  for (int64_t i = 0; i < 2000; ++i) {
    sum += w[i] / 2000;
    square += w[i] * w[i] / 2000;
  }
  EXPECT_NEAR(sum, 0, 0.1);
  EXPECT_NEAR(square, 1, 0.15);
  EXPECT_TRUE(std::isfinite(w.back()));
}

// One row x = 1 with target +1, so that the parameter is the margin.
template <typename T>
std::pair<double, T> LossAndSlopeAt(const char* loss, T margin) {
  const auto model = MustMake<T>(
      {.kind = "logistic", .features = 1, .bias = false, .loss = loss});
  const T one = 1;
  const Batch<T> batch{.rows = 1, .features = 1, .dense = &one, .target = &one};
  Workspace<T> workspace;
  std::vector<T> w = {margin}, g(1);
  const double value =
      model->LossAndGradient(w, batch, absl::MakeSpan(g), workspace);
  return {value, g[0]};
}

template <typename T>
void CheckMargins() {
  const double tolerance = 8 * std::numeric_limits<T>::epsilon();
  for (double m : {-1e4, -500.0, -80.0, -30.0, -1.0, 0.0, 1.0, 30.0, 80.0}) {
    const auto [loss, slope] = LossAndSlopeAt<T>("logistic", T(m));
    const double want =
        m > 0 ? std::log1p(std::exp(-m)) : -m + std::log1p(std::exp(m));
    EXPECT_NEAR(loss, want, tolerance * want) << m;
    const double want_slope = -1 / (1 + std::exp(m));
    EXPECT_NEAR(slope, want_slope, tolerance * -want_slope) << m;
  }
  const auto [far_loss, far_slope] = LossAndSlopeAt<T>("logistic", T(1e4));
  EXPECT_EQ(far_loss, 0);
  EXPECT_EQ(far_slope, 0);
  for (double m : {-700.0, -80.0, 0.0, 80.0}) {
    const auto [loss, slope] = LossAndSlopeAt<T>("exponential", T(m));
    EXPECT_NEAR(loss, std::exp(-m), 1e-12 * std::exp(-m)) << m;
    const double limited =
        std::min(std::exp(-m), double{std::numeric_limits<T>::max()});
    EXPECT_NEAR(slope, -limited, tolerance * limited) << m;
    EXPECT_TRUE(std::isfinite(slope));
  }
  EXPECT_TRUE(std::isfinite(LossAndSlopeAt<T>("exponential", T(-1e4)).second));
}

TEST(LogisticTest, HoldsAtExtremeMargins) {
  CheckMargins<float>();
  CheckMargins<double>();
}

TEST(LogisticTest, CurvatureKeepsItsRelativeAccuracy) {
  const auto model =
      MustMake<double>({.kind = "logistic", .features = 1, .bias = false});
  const double one = 1;
  const Batch<double> batch{
      .rows = 1, .features = 1, .dense = &one, .target = &one};
  Workspace<double> workspace;
  for (double m : {-300.0, -40.0, 0.0, 40.0, 300.0}) {
    std::vector<double> w = {m}, v = {1}, out(1);
    model->HessianVectorProduct(w, v, batch, absl::MakeSpan(out), workspace);
    const double e = std::exp(-std::abs(m));
    EXPECT_NEAR(out[0], e / std::pow(1 + e, 2), 1e-14 * e) << m;
  }
}

TEST(LogisticTest, CountsTheRightSigns) {
  const auto model =
      MustMake<double>({.kind = "logistic", .features = 1, .bias = false});
  const std::vector<double> x = {1, -2, 3, -4}, target = {1, -1, -1, 1};
  const Batch<double> batch{
      .rows = 4, .features = 1, .dense = x.data(), .target = target.data()};
  Workspace<double> workspace;
  EXPECT_EQ(model->Evaluate(std::vector<double>{1}, batch, workspace).correct,
            2);
  // Rows 2 and 3 swap sides, and so do the others.
  EXPECT_EQ(model->Evaluate(std::vector<double>{-1}, batch, workspace).correct,
            2);
}

TEST(SoftmaxTest, HoldsAtExtremeLogits) {
  const auto model =
      MustMake<float>({.kind = "softmax", .features = 1, .classes = 3});
  const float one = 1, target = 0;
  const Batch<float> batch{
      .rows = 1, .features = 1, .dense = &one, .target = &target};
  Workspace<float> workspace;
  const std::vector<float> w = {-1e4f, 1e4f, 0, 0, 0, 0};
  std::vector<float> g(6);
  EXPECT_EQ(model->LossAndGradient(w, batch, absl::MakeSpan(g), workspace),
            2e4);
  EXPECT_THAT(g, ElementsAre(-1, 1, 0, -1, 1, 0));
  EXPECT_EQ(model->Evaluate(w, batch, workspace).correct, 0);
}

// With W = (0, w) the softmax over two classes is logistic regression.
TEST(SoftmaxTest, OfTwoClassesIsLogisticRegression) {
  const auto softmax =
      MustMake<double>({.kind = "softmax", .features = 6, .classes = 2});
  const auto logistic = MustMake<double>({.kind = "logistic", .features = 6});
  TestData<double> data =
      DrawData<double>(50, 6, TargetKind::kSign, 0, Rng(4, "data"));
  const std::vector<double> w = DrawVector<double>(7, 1, Rng(5, "w"));
  std::vector<double> both(14);  // weights of class 0, 1, then the biases
  std::copy_n(w.begin(), 6, both.begin() + 6);
  both[13] = w[6];
  std::vector<double> g(7), g_both(14);
  Workspace<double> workspace;
  const double loss =
      logistic->LossAndGradient(w, data.Dense(), absl::MakeSpan(g), workspace);
  const EvalSums sums = logistic->Evaluate(w, data.Dense(), workspace);
  for (double& t : data.target) t = t > 0 ? 1 : 0;
  EXPECT_NEAR(softmax->LossAndGradient(both, data.Dense(),
                                       absl::MakeSpan(g_both), workspace),
              loss, 1e-14);
  EXPECT_EQ(softmax->Evaluate(both, data.Dense(), workspace).correct,
            sums.correct);
  for (int i = 0; i < 6; ++i) {
    EXPECT_NEAR(g_both[6 + i], g[i], 1e-14);
    EXPECT_NEAR(g_both[i], -g[i], 1e-14);
  }
  EXPECT_NEAR(g_both[13], g[6], 1e-14);
}

// A row without entries is all zeros, and the loss then that of the bias.
TEST(SparseTest, EmptyRowsAreZeros) {
  for (const ModelOptions& options : AllModels(3)) {
    const auto model = MustMake<double>(options);
    const std::vector<int64_t> row_begin = {0, 0, 0};
    const std::vector<double> zeros(2 * options.features), target = {1, 1};
    const Batch<double> sparse{.rows = 2,
                               .features = options.features,
                               .row_begin = row_begin.data(),
                               .target = target.data()};
    const Batch<double> dense{.rows = 2,
                              .features = options.features,
                              .dense = zeros.data(),
                              .target = target.data()};
    const std::vector<double> w =
        DrawVector<double>(model->spec().elements(), 1, Rng(6, "w"));
    std::vector<double> g_sparse(w.size()), g_dense(w.size());
    Workspace<double> workspace;
    EXPECT_EQ(
        model->LossAndGradient(w, sparse, absl::MakeSpan(g_sparse), workspace),
        model->LossAndGradient(w, dense, absl::MakeSpan(g_dense), workspace))
        << Describe(options);
    EXPECT_EQ(g_sparse, g_dense);
  }
}

}  // namespace
}  // namespace parley
