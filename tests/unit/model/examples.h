// Small random data sets and the models to try on them, for the tests of this
// folder.
#ifndef PARLEY_TESTS_UNIT_MODEL_EXAMPLES_H_
#define PARLEY_TESTS_UNIT_MODEL_EXAMPLES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "common/model/local_solver.h"
#include "common/model/model.h"
#include "tests/support/status_matchers.h"

namespace parley {

// The same rows dense and sparse; about half of the entries are zero.
template <typename T>
struct TestData {
  int64_t rows = 0, features = 0;
  std::vector<T> dense = {}, value = {}, target = {};
  std::vector<int64_t> row_begin = {};
  std::vector<int32_t> column = {};

  Batch<T> Dense() const {
    return {.rows = rows,
            .features = features,
            .dense = dense.data(),
            .target = target.data()};
  }
  Batch<T> Sparse() const {
    return {.rows = rows,
            .features = features,
            .row_begin = row_begin.data(),
            .column = column.data(),
            .value = value.data(),
            .target = target.data()};
  }
};

// Drawn in double, so that both precisions see the same rows. With a vocabulary
// the features are whole numbers below it.
template <typename T>
TestData<T> DrawData(int64_t rows, int64_t features, TargetKind kind,
                     int64_t classes, Rng rng, int64_t vocabulary = 0) {
  TestData<T> data{.rows = rows, .features = features};
  // The first entries belong to no row: a view may start anywhere.
  data.value = {T{1000}, T{1000}};
  data.column = {0, 0};
  data.row_begin = {2};
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < features; ++c) {
      const double number = vocabulary > 0
                                ? static_cast<double>(rng.Below(vocabulary))
                                : rng.Normal();
      const T x = static_cast<T>(rng.Uniform() < 0.5 ? 0 : number);
      data.dense.push_back(x);
      if (x == 0) continue;
      data.column.push_back(static_cast<int32_t>(c));
      data.value.push_back(x);
    }
    data.row_begin.push_back(static_cast<int64_t>(data.value.size()));
    switch (kind) {
      case TargetKind::kReal:
        data.target.push_back(static_cast<T>(rng.Normal()));
        break;
      case TargetKind::kSign:
        data.target.push_back(static_cast<T>(rng.Uniform() < 0.5 ? -1 : 1));
        break;
      case TargetKind::kClass:
        data.target.push_back(static_cast<T>(rng.Below(classes)));
        break;
    }
  }
  return data;
}

// Rows of a dense data set, copied as asked for; remembers what was asked.
template <typename T>
class TestSource final : public BatchSource<T> {
 public:
  explicit TestSource(const TestData<T>& data) : data_(data) {}

  int64_t rows() const override { return data_.rows; }
  Batch<T> All() const override { return data_.Dense(); }
  Batch<T> Gather(absl::Span<const int64_t> rows) override {
    asked.emplace_back(rows.begin(), rows.end());
    dense_.clear();
    target_.clear();
    for (int64_t r : rows) {
      const T* row = &data_.dense[r * data_.features];
      dense_.insert(dense_.end(), row, row + data_.features);
      target_.push_back(data_.target[r]);
    }
    return {.rows = static_cast<int64_t>(rows.size()),
            .features = data_.features,
            .dense = dense_.data(),
            .target = target_.data()};
  }

  std::vector<std::vector<int64_t>> asked;

 private:
  const TestData<T>& data_;
  std::vector<T> dense_, target_;
};

inline ModelOptions Cnn(int64_t channels, int64_t height, int64_t width,
                        std::vector<ConvolutionOptions> convolutions,
                        std::vector<int64_t> hidden) {
  return {.kind = "cnn",
          .features = channels * height * width,
          .classes = 3,
          .hidden = std::move(hidden),
          .convolutions = std::move(convolutions),
          .image_channels = channels,
          .image_height = height,
          .image_width = width};
}

// One and several channels, taller and wider images, pools that leave a rest,
// zeros around, windows as large as the image, a number of channels that fills
// no register, and one that fills one and more.
inline std::vector<ModelOptions> AllCnns() {
  return {
      Cnn(1, 6, 6, {{.channels = 4}}, {}),
      Cnn(1, 5, 8, {{.channels = 3, .kernel = 2, .pool = 3}}, {4}),
      Cnn(2, 7, 4,
          {{.channels = 3, .padding = 2}, {.channels = 5, .kernel = 2}}, {}),
      Cnn(3, 9, 6,
          {{.channels = 3, .padding = 1, .pool = 2},
           {.channels = 2, .kernel = 2, .padding = 1, .pool = 1},
           {.channels = 4, .kernel = 1, .pool = 2}},
          {5}),
      Cnn(1, 3, 4, {{.channels = 19, .kernel = 3, .pool = 1}}, {}),
  };
}

// Every kind of the table, with every option that changes the arithmetic.
inline std::vector<ModelOptions> AllModels(int64_t features) {
  std::vector<ModelOptions> all;
  for (const std::string& kind : ModelKinds()) {
    if (kind == "cnn") {
      for (ModelOptions& cnn : AllCnns()) all.push_back(std::move(cnn));
      continue;
    }
    const ModelOptions base{.kind = kind, .features = features, .classes = 3};
    if (kind == "embedding_mlp") {
      for (const char* activation : {"relu", "tanh"}) {
        for (const std::vector<int64_t>& hidden :
             {std::vector<int64_t>{}, {6, 5}}) {
          ModelOptions options = base;
          options.activation = activation;
          options.hidden = hidden;
          options.vocabulary = 7;
          options.dimension = 3;
          all.push_back(options);
        }
      }
      continue;
    }
    for (bool bias : {true, false}) {
      ModelOptions options = base;
      options.bias = bias;
      if (kind == "mlp") {
        options.bias = true;
        options.loss = bias ? "cross_entropy" : "squared";
        for (const char* activation : {"relu", "tanh"}) {
          options.activation = activation;
          for (const std::vector<int64_t>& hidden :
               {std::vector<int64_t>{}, {7}, {6, 5, 4}}) {
            options.hidden = hidden;
            all.push_back(options);
          }
        }
      } else if (kind == "logistic") {
        for (const char* loss : {"logistic", "exponential"}) {
          options.loss = loss;
          all.push_back(options);
        }
      } else {
        all.push_back(options);
      }
    }
  }
  return all;
}

inline std::string Describe(const ModelOptions& o) {
  return o.kind + " " + o.loss + " " + o.activation + " of " +
         std::to_string(o.hidden.size()) + (o.bias ? " bias" : " no bias") +
         (o.kind == "cnn" ? " over " + std::to_string(o.features) : "");
}

template <typename T>
std::unique_ptr<Model<T>> MustMake(const ModelOptions& options) {
  absl::StatusOr<std::unique_ptr<Model<T>>> model = MakeModel<T>(options);
  EXPECT_OK(model);
  return *std::move(model);
}

template <typename T>
std::vector<T> DrawVector(int64_t n, double scale, Rng rng) {
  std::vector<T> x(n);
  for (T& v : x) v = static_cast<T>(scale * rng.Normal());
  return x;
}

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_MODEL_EXAMPLES_H_
