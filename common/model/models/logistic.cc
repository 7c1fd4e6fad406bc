// Binary classification with targets ±1: a loss of the margin m = t(w·x + b),
// log(1 + exp(−m)) or exp(−m).
#include <cmath>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/kernels/kernels.h"
#include "common/model/batch_ops.h"
#include "common/model/models/models.h"
#include "common/model/models/scalar_model.h"

namespace parley {
namespace {

template <typename T>
class MarginLoss : public ScalarLoss<T> {
 public:
  TargetKind target_kind() const final { return TargetKind::kSign; }

  double Correct(int64_t n, const T* target, const T* z) const final {
    int64_t correct = 0;
    for (int64_t i = 0; i < n; ++i) {
      correct += (z[i] >= 0) == (target[i] > 0);
    }
    return static_cast<double>(correct);
  }
};

template <typename T>
class LogisticLoss final : public MarginLoss<T> {
 public:
  double Slopes(int64_t n, const T* target, T* z, T* scratch) const override {
    T* margin = scratch;
    T* loss = scratch + n;
    for (int64_t i = 0; i < n; ++i) margin[i] = target[i] * z[i];
    KernelsFor<T>().logistic(n, margin, loss, z);
    for (int64_t i = 0; i < n; ++i) z[i] *= target[i];
    return Sum(n, loss);
  }

  // e/(1 + e)² with e = exp(−|m|), which neither overflows nor cancels.
  void Curvatures(int64_t n, const T*, T* z) const override {
    for (int64_t i = 0; i < n; ++i) {
      const double e = std::exp(-std::abs(static_cast<double>(z[i])));
      z[i] = static_cast<T>(e / ((1 + e) * (1 + e)));
    }
  }
};

// The exponential is taken in double and its slope limited to what T holds: a
// loss is finite for m > −709, and a slope always is.
template <typename T>
class ExponentialLoss final : public MarginLoss<T> {
 public:
  double Slopes(int64_t n, const T* target, T* z, T*) const override {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double loss = Loss(target[i], z[i]);
      sum += loss;
      z[i] = -target[i] * Limited(loss);
    }
    return sum;
  }

  void Curvatures(int64_t n, const T* target, T* z) const override {
    for (int64_t i = 0; i < n; ++i) z[i] = Limited(Loss(target[i], z[i]));
  }

 private:
  static double Loss(T target, T z) {
    return std::exp(-static_cast<double>(target) * static_cast<double>(z));
  }
  static T Limited(double loss) {
    constexpr double kLargest = std::numeric_limits<T>::max();
    return static_cast<T>(loss > kLargest ? kLargest : loss);
  }
};

}  // namespace

template <typename T>
ModelOr<T> MakeLogistic(const ModelOptions& options) {
  std::unique_ptr<ScalarLoss<T>> loss;
  if (options.loss.empty() || options.loss == "logistic") {
    loss = std::make_unique<LogisticLoss<T>>();
  } else if (options.loss == "exponential") {
    loss = std::make_unique<ExponentialLoss<T>>();
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown loss '", options.loss,
                     "' of a logistic model; known are logistic, exponential"));
  }
  return MakeScalarModel<T>(options.features, options.bias, std::move(loss));
}

template ModelOr<float> MakeLogistic(const ModelOptions&);
template ModelOr<double> MakeLogistic(const ModelOptions&);

}  // namespace parley
