#include "common/config/central_evaluator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/base/random.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

constexpr int64_t kRows = 1000, kFeatures = 5;

Dataset<double> Data(bool classes) {
  Rng rng(3, "rows");
  Examples<double> examples;
  examples.rows = kRows;
  examples.features = kFeatures;
  for (int64_t i = 0; i < kRows * kFeatures; ++i) {
    examples.dense.push_back(rng.Normal());
  }
  for (int64_t i = 0; i < kRows; ++i) {
    examples.target.push_back(classes ? (rng.Below(2) == 0 ? -1 : 1)
                                      : rng.Normal());
  }
  return Dataset<double>(std::move(examples));
}

TEST(CentralEvaluator, AgreesWithALoopOnAnyThreads) {
  for (const char* kind : {"logistic", "linear_regression"}) {
    const bool classes = kind == std::string("logistic");
    ModelOptions options;
    options.kind = kind;
    options.features = kFeatures;
    options.bias = false;
    if (classes) options.loss = "logistic";
    ASSERT_OK_AND_ASSIGN(std::shared_ptr<const Model<double>> model,
                         MakeModel<double>(options));
    const Dataset<double> data = Data(classes);
    ParameterVector w(DType::kFloat64, kFeatures);
    for (int j = 0; j < kFeatures; ++j) w.As<double>()[j] = 0.3 * j - 0.5;

    double loss = 0, correct = 0;
    for (int64_t i = 0; i < kRows; ++i) {
      double z = 0;
      for (int64_t j = 0; j < kFeatures; ++j) {
        z += w.As<double>()[j] * data.All().dense[i * kFeatures + j];
      }
      const double t = data.All().target[i];
      loss += classes ? std::log1p(std::exp(-t * z)) : (z - t) * (z - t) / 2;
      correct += t * z > 0 ? 1 : 0;
    }
    std::map<std::string, double> first;
    for (int threads : {0, 1, 4}) {
      std::unique_ptr<ThreadPool> pool;
      if (threads > 0) pool = std::make_unique<ThreadPool>(threads);
      const auto evaluator =
          MakeCentralEvaluator<double>(model, data, pool.get());
      const auto metrics = evaluator->Evaluate(w);
      EXPECT_NEAR(metrics.at("loss"), loss / kRows, 1e-12);
      if (classes) {
        EXPECT_EQ(metrics.at("accuracy"), correct / kRows);
      } else {
        EXPECT_FALSE(metrics.contains("accuracy"));
      }
      if (first.empty()) first = metrics;
      EXPECT_EQ(metrics, first);                 // to the last bit
      EXPECT_EQ(evaluator->Evaluate(w), first);  // and again
    }
  }
}

}  // namespace
}  // namespace parley
