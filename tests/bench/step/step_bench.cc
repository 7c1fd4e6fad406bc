// A step of logistic GD and of MLP SGD through Model and Solve, from a build
// for any amd64, against the same arithmetic in a bare Eigen loop compiled for
// this CPU. The two take turns; the label gives the ratio of their medians. A
// step of CNN SGD stands alone: tests/bench/torch_step.py compares it, and the
// MLP's, with PyTorch's.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/log.h"
#include "common/kernels/kernels.h"
#include "common/model/local_solver.h"
#include "common/model/model.h"
#include "tests/bench/step/bare_eigen.h"

namespace parley {
namespace {

// Rows in memory; remembers the order in which they were asked for.
class Source final : public BatchSource<float> {
 public:
  Source(int64_t rows, int64_t features, int64_t classes)
      : rows_(rows), features_(features), x(rows * features), target(rows) {
    Rng rng(1, "bench");
    for (float& v : x) v = static_cast<float>(rng.Uniform());
    for (float& t : target) {
      t = classes == 0 ? (rng.Uniform() < 0.5 ? -1.0f : 1.0f)
                       : static_cast<float>(rng.Below(classes));
    }
  }
  int64_t rows() const override { return rows_; }
  Batch<float> All() const override {
    return {.rows = rows_,
            .features = features_,
            .dense = x.data(),
            .target = target.data()};
  }
  Batch<float> Gather(absl::Span<const int64_t> rows) override {
    order.insert(order.end(), rows.begin(), rows.end());
    batch_x_.resize(rows.size() * features_);
    batch_target_.resize(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      std::memcpy(&batch_x_[i * features_], &x[rows[i] * features_],
                  features_ * sizeof(float));
      batch_target_[i] = target[rows[i]];
    }
    return {.rows = static_cast<int64_t>(rows.size()),
            .features = features_,
            .dense = batch_x_.data(),
            .target = batch_target_.data()};
  }

 private:
  const int64_t rows_, features_;
  std::vector<float> batch_x_, batch_target_;

 public:
  std::vector<float> x, target;
  std::vector<int64_t> order;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Of this thread's CPU, so that others on the machine matter less.
template <typename F>
double Seconds(F f) {
  const auto now = [] {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) +
           1e-9 * static_cast<double>(t.tv_nsec);
  };
  const double start = now();
  f();
  return now() - start;
}

// One iteration is a turn of each; both times are of `steps` steps.
template <typename Parley, typename Bare>
void Compare(benchmark::State& state, const std::string& what, int64_t steps,
             Parley parley, Bare bare) {
  std::vector<double> parley_times, bare_times;
  parley();  // warm-up
  bare();
  for (auto _ : state) {
    const bool first = parley_times.size() % 2 == 0;
    if (first) parley_times.push_back(Seconds(parley));
    bare_times.push_back(Seconds(bare));
    if (!first) parley_times.push_back(Seconds(parley));
    state.SetIterationTime(parley_times.back());
  }
  const double p = Median(parley_times) / static_cast<double>(steps);
  const double b = Median(bare_times) / static_cast<double>(steps);
  state.counters["step_ms"] = p * 1e3;
  state.SetLabel(absl::StrFormat(
      "%s: %.3f ms a step (%s), bare Eigen %.3f ms: speed ratio %.2f", what,
      p * 1e3, InstructionSet(), b * 1e3, b / p));
}

void LogisticGd(benchmark::State& state) {
  const int64_t rows = state.range(0), features = state.range(1);
  constexpr int64_t kSteps = 4;
  constexpr float kStepSize = 0.01f;
  Source source(rows, features, 0);
  const auto model =
      *MakeModel<float>({.kind = "logistic", .features = features});
  std::vector<float> w(features + 1), bare_w(features + 1);
  Rng rng(1, "batches");
  double loss = 0, bare_loss = 0;
  const auto parley = [&] {
    loss =
        Solve<float>(*model, {.full_batch = true, .steps = kSteps}, kStepSize,
                     source, rng, absl::MakeSpan(w), [] { return true; })
            ->mean_loss;
  };
  const auto bare = [&] {
    bare_loss =
        BareLogisticSteps(rows, features, source.x.data(), source.target.data(),
                          kStepSize, kSteps, bare_w.data());
  };
  parley();
  bare();
  // They do the same.
  for (int64_t i = 0; i <= features; ++i) {
    PARLEY_CHECK(std::abs(w[i] - bare_w[i]) <= 1e-4f);
  }
  Compare(state, absl::StrFormat("logistic GD %dx%d", rows, features), kSteps,
          parley, bare);
}
BENCHMARK(LogisticGd)
    ->Args({600, 784})
    ->Args({6000, 784})
    ->Args({30000, 784})
    ->Args({60000, 20})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->MinTime(0.5);

void MlpSgd(benchmark::State& state) {
  const BareMlpShape shape{.features = 784,
                           .hidden = state.range(0),
                           .classes = 10,
                           .batch = state.range(1)};
  constexpr int64_t kSteps = 32;
  constexpr float kStepSize = 0.01f;
  Source source(kSteps * shape.batch, shape.features, shape.classes);
  const auto model = *MakeModel<float>({.kind = "mlp",
                                        .features = shape.features,
                                        .classes = shape.classes,
                                        .hidden = {shape.hidden}});
  Rng rng(1, "batches");
  std::vector<float> w(model->spec().elements());
  model->Initialize(rng, absl::MakeSpan(w));
  std::vector<float> bare_w = w;
  const auto parley = [&] {
    source.order.clear();
    (void)Solve<float>(*model, {.batch_size = shape.batch, .epochs = 1},
                       kStepSize, source, rng, absl::MakeSpan(w),
                       [] { return true; });
  };
  double bare_loss = 0;
  const auto bare = [&] {
    bare_loss = BareMlpSteps(shape, source.x.data(), source.target.data(),
                             source.order, kStepSize, bare_w.data());
  };
  parley();
  bare();
  for (size_t i = 0; i < w.size(); ++i) {
    PARLEY_CHECK(std::abs(w[i] - bare_w[i]) <= 1e-4f);
  }
  Compare(
      state,
      absl::StrFormat("MLP 784-%d-10 SGD, batch %d", shape.hidden, shape.batch),
      kSteps, parley, bare);
}
BENCHMARK(MlpSgd)
    ->Args({200, 32})
    ->Args({200, 128})
    ->Args({64, 10})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->MinTime(0.5);

// 3×3 convolution to 16 channels, pool, 3×3 to 32, pool, dense to 10.
void CnnSgd(benchmark::State& state) {
  constexpr int64_t kBatch = 32, kSteps = 32, kSide = 28;
  Source source(kSteps * kBatch, kSide * kSide, 10);
  const auto model =
      *MakeModel<float>({.kind = "cnn",
                         .features = kSide * kSide,
                         .classes = 10,
                         .convolutions = {{.channels = 16}, {.channels = 32}},
                         .image_channels = 1,
                         .image_height = kSide,
                         .image_width = kSide});
  Rng rng(1, "batches");
  std::vector<float> w(model->spec().elements());
  model->Initialize(rng, absl::MakeSpan(w));
  std::vector<double> times;
  for (auto _ : state) {
    times.push_back(Seconds([&] {
      PARLEY_CHECK(Solve<float>(*model, {.batch_size = kBatch, .epochs = 1},
                                0.01, source, rng, absl::MakeSpan(w),
                                [] { return true; })
                       .ok());
    }));
    state.SetIterationTime(times.back());
  }
  const double step_ms = Median(times) / kSteps * 1e3;
  state.counters["step_ms"] = step_ms;
  state.SetLabel(
      absl::StrFormat("CNN 28x28-16-32-10 SGD, batch %d: %.3f ms a step (%s)",
                      kBatch, step_ms, InstructionSet()));
}
BENCHMARK(CnnSgd)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(0.5);

}  // namespace
}  // namespace parley

BENCHMARK_MAIN();
