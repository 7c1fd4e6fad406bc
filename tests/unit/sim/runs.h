// Whole federated runs of linear models, for the tests of their algorithms.
#ifndef PARLEY_TESTS_UNIT_SIM_RUNS_H_
#define PARLEY_TESTS_UNIT_SIM_RUNS_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/analysis/max_margin.h"
#include "common/analysis/signed_rows.h"
#include "common/config/build.h"
#include "common/config/load.h"
#include "tests/support/status_matchers.h"
#include "tools/sim/simulator.h"

namespace parley {

// Fewer rows than features, so that some hyperplane separates them; four
// clients whose labels differ.
inline constexpr char kSeparable[] =
    "train { mixture { rows: 30 features: 40 separation: 1 } } "
    "partition { parts: 4 dirichlet { alpha: 0.3 } }";

// A run from zeros in double.
inline v1::RunConfig RunOf(const std::string& loss, const std::string& data,
                           const std::string& local,
                           const std::string& aggregation, int rounds,
                           uint64_t seed = 1) {
  auto config = LoadRunText(
      absl::StrCat(
          "model { logistic { loss: ", loss, " bias: false } } data { ", data,
          " } local { ", local, " } aggregation { ", aggregation,
          " } precision: FLOAT64 start { zeros {} } stop { rounds: ", rounds,
          " } seed: ", seed),
      "study.textproto");
  EXPECT_OK(config);
  return config.ok() ? *std::move(config) : v1::RunConfig();
}

inline absl::StatusOr<SimulatorResult> SimulateRun(
    const v1::RunConfig& config,
    std::function<void(const RoundReport&)> on_round = nullptr) {
  SimulatorOptions options;
  options.config = config;
  options.threads = 1;
  options.on_round = std::move(on_round);
  options.say = [](LogLevel, const std::string&) {};
  return Simulate(std::move(options));
}

inline std::vector<double> ModelOf(
    const v1::RunConfig& config,
    std::function<void(const RoundReport&)> on_round = nullptr) {
  const auto result = SimulateRun(config, std::move(on_round));
  EXPECT_OK(result);
  if (!result.ok()) return {};
  EXPECT_EQ(result->status.state(), v1::FINISHED) << result->status.detail();
  const absl::Span<const double> w = result->model.As<double>();
  return {w.begin(), w.end()};
}

// Each client's rows.
inline std::vector<Dataset<double>> PartsOf(const v1::RunConfig& config) {
  const auto parts = LoadAllParts<double>(config);
  EXPECT_OK(parts);
  std::vector<Dataset<double>> out;
  for (int64_t part = 0; part < parts->parts(); ++part) {
    out.push_back(parts->train(part));
  }
  return out;
}

// The support vector machine of all clients' rows.
inline MaxMargin SvmOf(const v1::RunConfig& config) {
  v1::RunConfig together = config;
  together.mutable_data()->mutable_partition()->set_parts(1);
  together.mutable_data()->mutable_partition()->mutable_iid();
  const auto rows = SignedRows::Create(PartsOf(together)[0]);
  EXPECT_OK(rows);
  auto svm = FindMaxMargin(*rows);
  EXPECT_OK(svm);
  EXPECT_EQ(svm->verdict, Separability::kSeparable);
  return *std::move(svm);
}

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_SIM_RUNS_H_
