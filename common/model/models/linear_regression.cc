// Linear regression: ½(w·x + b − t)².
#include <algorithm>
#include <utility>

#include "common/model/models/models.h"
#include "common/model/models/scalar_model.h"

namespace parley {
namespace {

template <typename T>
class SquaredLoss final : public ScalarLoss<T> {
 public:
  TargetKind target_kind() const override { return TargetKind::kReal; }

  double Slopes(int64_t n, const T* target, T* z, T*) const override {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      z[i] -= target[i];
      sum += 0.5 * static_cast<double>(z[i]) * static_cast<double>(z[i]);
    }
    return sum;
  }

  void Curvatures(int64_t n, const T*, T* z) const override {
    std::fill_n(z, n, T{1});
  }

  double Correct(int64_t, const T*, const T*) const override { return 0; }
};

}  // namespace

template <typename T>
ModelOr<T> MakeLinearRegression(const ModelOptions& options) {
  return MakeScalarModel<T>(options.features, options.bias,
                            std::make_unique<SquaredLoss<T>>());
}

template ModelOr<float> MakeLinearRegression(const ModelOptions&);
template ModelOr<double> MakeLinearRegression(const ModelOptions&);

}  // namespace parley
