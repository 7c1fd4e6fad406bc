// Losses against their formulas; gradients and Hessian-vector products against
// finite differences: for every model, both precisions, dense and sparse.
#include <cmath>

#include "tests/unit/model/examples.h"

namespace parley {
namespace {

// More than one block of rows. A cnn has many units a row, and the more there
// are, the sooner a finite difference crosses one's kink.
int64_t RowsFor(const ModelOptions& o) { return o.kind == "cnn" ? 70 : 700; }

template <typename T>
TestData<T> DataFor(const ModelOptions& o, TargetKind kind) {
  return DrawData<T>(RowsFor(o), o.features, kind, 3, Rng(1, "data"),
                     o.vocabulary);
}

// An image of planes, as a row of a data set and PyTorch have it.
struct Image {
  int64_t channels, height, width;
  std::vector<double> values = {};

  // Zero outside.
  double At(int64_t c, int64_t y, int64_t x) const {
    if (y < 0 || y >= height || x < 0 || x >= width) return 0;
    return values[(c * height + y) * width + x];
  }
};

// One convolution with ReLU, then pooling, sum by sum; its parameters start at
// *at.
Image ConvolveByTheBook(const Image& in, const ConvolutionOptions& o,
                        const std::vector<double>& w, size_t* at) {
  const int64_t k = o.kernel;
  Image made{o.channels, in.height + 2 * o.padding - k + 1,
             in.width + 2 * o.padding - k + 1};
  const double* weight = &w[*at];
  const double* bias = weight + o.channels * in.channels * k * k;
  *at += o.channels * (in.channels * k * k + 1);
  for (int64_t f = 0; f < made.channels; ++f) {
    for (int64_t y = 0; y < made.height; ++y) {
      for (int64_t x = 0; x < made.width; ++x) {
        double sum = bias[f];
        for (int64_t c = 0; c < in.channels; ++c) {
          for (int64_t i = 0; i < k; ++i) {
            for (int64_t j = 0; j < k; ++j) {
              sum += weight[((f * in.channels + c) * k + i) * k + j] *
                     in.At(c, y - o.padding + i, x - o.padding + j);
            }
          }
        }
        made.values.push_back(std::max(sum, 0.0));
      }
    }
  }
  Image out{o.channels, made.height / o.pool, made.width / o.pool};
  for (int64_t f = 0; f < out.channels; ++f) {
    for (int64_t y = 0; y < out.height; ++y) {
      for (int64_t x = 0; x < out.width; ++x) {
        double most = 0;
        for (int64_t i = 0; i < o.pool; ++i) {
          for (int64_t j = 0; j < o.pool; ++j) {
            most = std::max(most, made.At(f, y * o.pool + i, x * o.pool + j));
          }
        }
        out.values.push_back(most);
      }
    }
  }
  return out;
}

// What enters the fully connected layers.
std::vector<double> InputsByTheBook(const ModelOptions& o,
                                    const std::vector<double>& w,
                                    const double* x, size_t* at) {
  if (o.kind == "embedding_mlp") {
    std::vector<double> inputs;
    for (int64_t j = 0; j < o.features; ++j) {
      const double* symbol = &w[static_cast<int64_t>(x[j]) * o.dimension];
      inputs.insert(inputs.end(), symbol, symbol + o.dimension);
    }
    *at = o.vocabulary * o.dimension;
    return inputs;
  }
  Image image{o.image_channels, o.image_height, o.image_width,
              std::vector<double>(x, x + o.features)};
  for (const ConvolutionOptions& convolution : o.convolutions) {
    image = ConvolveByTheBook(image, convolution, w, at);
  }
  return image.values;
}

// The loss of one row by the book, in double, from the parameters in the order
// that the spec gives them.
double LossByTheBook(const ModelOptions& o, const std::vector<double>& w,
                     const double* x, double target) {
  size_t at = 0;
  std::vector<double> a = InputsByTheBook(o, w, x, &at);
  std::vector<int64_t> widths = {static_cast<int64_t>(a.size())};
  widths.insert(widths.end(), o.hidden.begin(), o.hidden.end());
  const bool classes = o.kind == "softmax" || o.kind == "cnn" ||
                       o.kind == "embedding_mlp" || o.loss == "cross_entropy";
  widths.push_back(classes ? o.classes : 1);
  for (size_t l = 0; l + 1 < widths.size(); ++l) {
    std::vector<double> z(widths[l + 1], 0.0);
    for (double& v : z) {
      for (double input : a) v += w[at++] * input;
    }
    if (o.bias) {
      for (double& v : z) v += w[at++];
    }
    if (l + 2 < widths.size()) {
      for (double& v : z) {
        v = o.activation == "tanh" ? std::tanh(v) : std::max(v, 0.0);
      }
    }
    a = z;
  }
  EXPECT_EQ(at, w.size());
  if (classes) {
    double sum = 0;
    for (double v : a) sum += std::exp(v);
    return std::log(sum) - a[static_cast<size_t>(target)];
  }
  if (o.loss == "logistic") return std::log1p(std::exp(-target * a[0]));
  if (o.loss == "exponential") return std::exp(-target * a[0]);
  return 0.5 * (a[0] - target) * (a[0] - target);
}

class DerivativesTest : public testing::TestWithParam<ModelOptions> {
 protected:
  DerivativesTest()
      : model_(MustMake<double>(GetParam())),
        data_(DataFor<double>(GetParam(), model_->target_kind())),
        rows_(data_.rows),
        n_(model_->spec().elements()),
        w_(DrawVector<double>(n_, 0.5, Rng(2, "w"))),
        v_(DrawVector<double>(n_, 1, Rng(3, "v"))) {}

  std::vector<double> Gradient(const std::vector<double>& w) {
    std::vector<double> g(n_);
    model_->LossAndGradient(w, data_.Dense(), absl::MakeSpan(g), workspace_);
    return g;
  }
  double Loss(const std::vector<double>& w) {
    std::vector<double> g(n_);
    return model_->LossAndGradient(w, data_.Dense(), absl::MakeSpan(g),
                                   workspace_);
  }
  std::vector<double> Moved(const std::vector<double>& direction, double step) {
    std::vector<double> w = w_;
    for (int64_t i = 0; i < n_; ++i) w[i] += step * direction[i];
    return w;
  }

  const std::unique_ptr<Model<double>> model_;
  const TestData<double> data_;
  const int64_t rows_, n_;
  const std::vector<double> w_, v_;
  Workspace<double> workspace_;
};

INSTANTIATE_TEST_SUITE_P(Models, DerivativesTest,
                         testing::ValuesIn(AllModels(9)), [](const auto& info) {
                           std::string name = Describe(info.param);
                           for (char& c : name) {
                             if (!std::isalnum(static_cast<unsigned char>(c)))
                               c = '_';
                           }
                           return name;
                         });

TEST_P(DerivativesTest, LossIsTheMeanByTheBook) {
  double want = 0;
  for (int64_t r = 0; r < rows_; ++r) {
    want += LossByTheBook(GetParam(), w_, &data_.dense[r * data_.features],
                          data_.target[r]);
  }
  EXPECT_NEAR(Loss(w_), want / static_cast<double>(rows_), 1e-12 * want);
  const EvalSums sums = model_->Evaluate(w_, data_.Dense(), workspace_);
  EXPECT_EQ(sums.examples, rows_);
  EXPECT_NEAR(sums.loss, want, 1e-12 * want);
}

TEST_P(DerivativesTest, GradientIsTheDifferenceOfLosses) {
  const std::vector<double> g = Gradient(w_);
  constexpr double kStep = 1e-6;
  for (int64_t i = 0; i < n_; ++i) {
    std::vector<double> unit(n_);
    unit[i] = 1;
    const double difference =
        (Loss(Moved(unit, kStep)) - Loss(Moved(unit, -kStep))) / (2 * kStep);
    ASSERT_NEAR(g[i], difference, 2e-8 * (1 + std::abs(g[i]))) << i;
  }
}

TEST_P(DerivativesTest, HessianVectorProductIsTheDifferenceOfGradients) {
  std::vector<double> product(n_);
  model_->HessianVectorProduct(w_, v_, data_.Dense(), absl::MakeSpan(product),
                               workspace_);
  constexpr double kStep = 1e-6;
  const std::vector<double> up = Gradient(Moved(v_, kStep));
  const std::vector<double> down = Gradient(Moved(v_, -kStep));
  double size = 0;
  for (double p : product) size = std::max(size, std::abs(p));
  for (int64_t i = 0; i < n_; ++i) {
    ASSERT_NEAR(product[i], (up[i] - down[i]) / (2 * kStep), 1e-7 * (1 + size))
        << i;
  }
}

// All that a model gives, of a batch of any kind.
template <typename T>
struct Outcome {
  double loss = 0;
  EvalSums sums = {};
  std::vector<T> gradient = {}, product = {};
};

template <typename T>
Outcome<T> OutcomeOf(const Model<T>& model, const std::vector<T>& w,
                     const std::vector<T>& v, const Batch<T>& batch) {
  Outcome<T> out{.gradient = std::vector<T>(w.size()),
                 .product = std::vector<T>(w.size())};
  Workspace<T> workspace;
  out.loss =
      model.LossAndGradient(w, batch, absl::MakeSpan(out.gradient), workspace);
  model.HessianVectorProduct(w, v, batch, absl::MakeSpan(out.product),
                             workspace);
  out.sums = model.Evaluate(w, batch, workspace);
  return out;
}

template <typename T>
void ExpectNear(const Outcome<T>& got, const Outcome<double>& want,
                double tolerance) {
  EXPECT_NEAR(got.loss, want.loss, tolerance * (1 + want.loss));
  EXPECT_NEAR(got.sums.loss, want.sums.loss, tolerance * (1 + want.sums.loss));
  // A row on the fence may fall to either side.
  EXPECT_NEAR(got.sums.correct, want.sums.correct, tolerance * 1e4);
  double size = 1;
  for (double x : want.product) size = std::max(size, std::abs(x));
  for (size_t i = 0; i < want.gradient.size(); ++i) {
    ASSERT_NEAR(got.gradient[i], want.gradient[i], tolerance * size) << i;
    ASSERT_NEAR(got.product[i], want.product[i], tolerance * size) << i;
  }
}

TEST_P(DerivativesTest, DenseAndSparseAgree) {
  ExpectNear(OutcomeOf(*model_, w_, v_, data_.Sparse()),
             OutcomeOf(*model_, w_, v_, data_.Dense()), 1e-13);
}

TEST_P(DerivativesTest, FloatAgreesWithDouble) {
  const auto model = MustMake<float>(GetParam());
  const TestData<float> data = DataFor<float>(GetParam(), model->target_kind());
  const std::vector<float> w(w_.begin(), w_.end()), v(v_.begin(), v_.end());
  const Outcome<double> want = OutcomeOf(*model_, w_, v_, data_.Dense());
  ExpectNear(OutcomeOf(*model, w, v, data.Dense()), want, 1e-4);
  ExpectNear(OutcomeOf(*model, w, v, data.Sparse()), want, 1e-4);
}

// A workspace that has served other shapes gives the same bits.
TEST_P(DerivativesTest, WorkspaceLeavesNoTrace) {
  const std::vector<double> fresh = Gradient(w_);
  std::vector<double> g(n_);
  Batch<double> part = data_.Dense();
  part.rows = 3;
  model_->LossAndGradient(w_, part, absl::MakeSpan(g), workspace_);
  model_->HessianVectorProduct(w_, v_, data_.Sparse(), absl::MakeSpan(g),
                               workspace_);
  EXPECT_EQ(Gradient(w_), fresh);
}

// Evaluating parts and adding up is evaluating the whole.
TEST_P(DerivativesTest, EvaluationsAddUp) {
  const EvalSums whole = model_->Evaluate(w_, data_.Dense(), workspace_);
  Batch<double> head = data_.Dense(), tail = data_.Dense();
  head.rows = rows_ / 5;
  tail.rows -= head.rows;
  tail.dense += head.rows * data_.features;
  tail.target += head.rows;
  EvalSums sums = model_->Evaluate(w_, head, workspace_);
  sums.Add(model_->Evaluate(w_, tail, workspace_));
  EXPECT_EQ(sums.examples, whole.examples);
  EXPECT_EQ(sums.correct, whole.correct);
  EXPECT_NEAR(sums.loss, whole.loss, 1e-12 * whole.loss);
}

}  // namespace
}  // namespace parley
