#include "server/strategies/server_optimizer.h"

#include <algorithm>
#include <cmath>

#include "common/kernels/kernels.h"

namespace parley {
namespace {

// x += η·d
template <typename T>
class Plain final : public ServerOptimizer {
 public:
  Plain(const v1::Plain& config, const ParameterVector&)
      : step_size_(config.step_size()) {}

  void Step(int64_t, int64_t begin, absl::Span<const double> d,
            ParameterVector& model) override {
    KernelsFor<T>().apply(static_cast<int64_t>(d.size()), step_size_, d.data(),
                          &model.As<T>()[begin]);
  }

 private:
  const double step_size_;
};

// m = μ·m + d; x += η·m  (Hsu, Qi and Brown 2019, FedAvgM)
template <typename T>
class Momentum final : public ServerOptimizer {
 public:
  Momentum(const v1::ServerMomentum& config, const ParameterVector& start)
      : step_size_(config.step_size()),
        momentum_(config.momentum()),
        m_(DTypeOf<T>(), start.elements()) {}

  void Step(int64_t, int64_t begin, absl::Span<const double> d,
            ParameterVector& model) override {
    T* const x = &model.As<T>()[begin];
    T* const m = &m_.As<T>()[begin];
    for (size_t i = 0; i < d.size(); ++i) {
      const double next = momentum_ * m[i] + d[i];
      m[i] = static_cast<T>(next);
      x[i] = static_cast<T>(x[i] + step_size_ * next);
    }
  }
  std::vector<NamedArray> state() override { return {{"momentum", &m_}}; }

 private:
  const double step_size_, momentum_;
  ParameterVector m_;
};

// FedAdam, Reddi et al. 2021, algorithm 2, without bias correction as there:
// m = β₁·m + (1 − β₁)·d; v = β₂·v + (1 − β₂)·d²; x += η·m / (√v + τ).
// m starts at 0 and v at τ², the least that they allow; τ is `epsilon`.
template <typename T>
class Adam final : public ServerOptimizer {
 public:
  Adam(const v1::Adam& config, const ParameterVector& start)
      : step_size_(config.step_size()),
        beta1_(config.beta1()),
        beta2_(config.beta2()),
        tau_(config.epsilon()),
        m_(DTypeOf<T>(), start.elements()),
        v_(DTypeOf<T>(), start.elements()) {
    absl::Span<T> v = v_.template As<T>();
    std::fill(v.begin(), v.end(), static_cast<T>(tau_ * tau_));
  }

  void Step(int64_t, int64_t begin, absl::Span<const double> d,
            ParameterVector& model) override {
    T* const x = &model.As<T>()[begin];
    T* const m = &m_.As<T>()[begin];
    T* const v = &v_.As<T>()[begin];
    for (size_t i = 0; i < d.size(); ++i) {
      const double m1 = beta1_ * m[i] + (1 - beta1_) * d[i];
      const double v1 = beta2_ * v[i] + (1 - beta2_) * d[i] * d[i];
      m[i] = static_cast<T>(m1);
      v[i] = static_cast<T>(v1);
      x[i] = static_cast<T>(x[i] + step_size_ * m1 / (std::sqrt(v1) + tau_));
    }
  }
  std::vector<NamedArray> state() override {
    return {{"adam.m", &m_}, {"adam.v", &v_}};
  }

 private:
  const double step_size_, beta1_, beta2_, tau_;
  ParameterVector m_, v_;
};

// Halpern's iteration: x = (1 − α)·x₀ + α·(x + d), α = 1 − (k + 1)^−power.
template <typename T>
class Anchored final : public ServerOptimizer {
 public:
  Anchored(const v1::Anchored& config, const ParameterVector& start)
      : power_(config.power()), anchor_(start.Clone()) {}

  void Step(int64_t round, int64_t begin, absl::Span<const double> d,
            ParameterVector& model) override {
    T* const x = &model.As<T>()[begin];
    const T* const anchor = &anchor_.As<T>()[begin];
    const double pull = std::pow(static_cast<double>(round) + 1, -power_);
    for (size_t i = 0; i < d.size(); ++i) {
      x[i] = static_cast<T>(pull * anchor[i] + (1 - pull) * (x[i] + d[i]));
    }
  }
  std::vector<NamedArray> state() override { return {{"anchor", &anchor_}}; }

 private:
  const double power_;
  ParameterVector anchor_;  // x₀
};

template <template <typename> class Optimizer, typename Config>
std::unique_ptr<ServerOptimizer> Make(const Config& config,
                                      const ParameterVector& start) {
  if (start.dtype() == DType::kFloat32) {
    return std::make_unique<Optimizer<float>>(config, start);
  }
  return std::make_unique<Optimizer<double>>(config, start);
}

}  // namespace

std::unique_ptr<ServerOptimizer> MakeServerOptimizer(
    const v1::Aggregation& config, const ParameterVector& start) {
  switch (config.optimizer_case()) {
    case v1::Aggregation::kMomentum:
      return Make<Momentum>(config.momentum(), start);
    case v1::Aggregation::kAdam:
      return Make<Adam>(config.adam(), start);
    case v1::Aggregation::kAnchored:
      return Make<Anchored>(config.anchored(), start);
    default:
      return Make<Plain>(config.plain(), start);
  }
}

}  // namespace parley
