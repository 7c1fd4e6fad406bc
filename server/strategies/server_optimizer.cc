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
  Plain(const v1::Plain& config, int64_t) : step_size_(config.step_size()) {}

  void Step(int64_t begin, absl::Span<const double> d,
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
  Momentum(const v1::ServerMomentum& config, int64_t elements)
      : step_size_(config.step_size()),
        momentum_(config.momentum()),
        m_(DTypeOf<T>(), elements) {}

  void Step(int64_t begin, absl::Span<const double> d,
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
  Adam(const v1::Adam& config, int64_t elements)
      : step_size_(config.step_size()),
        beta1_(config.beta1()),
        beta2_(config.beta2()),
        tau_(config.epsilon()),
        m_(DTypeOf<T>(), elements),
        v_(DTypeOf<T>(), elements) {
    absl::Span<T> v = v_.template As<T>();
    std::fill(v.begin(), v.end(), static_cast<T>(tau_ * tau_));
  }

  void Step(int64_t begin, absl::Span<const double> d,
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

template <template <typename> class Optimizer, typename Config>
std::unique_ptr<ServerOptimizer> Make(const Config& config, DType dtype,
                                      int64_t elements) {
  if (dtype == DType::kFloat32) {
    return std::make_unique<Optimizer<float>>(config, elements);
  }
  return std::make_unique<Optimizer<double>>(config, elements);
}

}  // namespace

std::unique_ptr<ServerOptimizer> MakeServerOptimizer(
    const v1::Aggregation& config, DType dtype, int64_t elements) {
  switch (config.optimizer_case()) {
    case v1::Aggregation::kMomentum:
      return Make<Momentum>(config.momentum(), dtype, elements);
    case v1::Aggregation::kAdam:
      return Make<Adam>(config.adam(), dtype, elements);
    default:
      return Make<Plain>(config.plain(), dtype, elements);
  }
}

}  // namespace parley
