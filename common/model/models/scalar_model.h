// Models of one output z = w·x + b with a loss ℓ(z, target).
#ifndef PARLEY_COMMON_MODEL_MODELS_SCALAR_MODEL_H_
#define PARLEY_COMMON_MODEL_MODELS_SCALAR_MODEL_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "common/model/model.h"

namespace parley {

// A loss of one output. Immutable and thread-safe.
template <typename T>
class ScalarLoss {
 public:
  virtual ~ScalarLoss() = default;
  virtual TargetKind target_kind() const = 0;
  // Returns the sum of the n losses and overwrites z with dℓ/dz. `scratch` has
  // room for 2n.
  virtual double Slopes(int64_t n, const T* target, T* z, T* scratch) const = 0;
  // Overwrites z with d²ℓ/dz².
  virtual void Curvatures(int64_t n, const T* target, T* z) const = 0;
  // How many outputs have the right sign; 0 for regression.
  virtual double Correct(int64_t n, const T* target, const T* z) const = 0;
};

// Parameters: "weight" [features] and, with a bias, "bias" [1]; from zero.
template <typename T>
absl::StatusOr<std::unique_ptr<Model<T>>> MakeScalarModel(
    int64_t features, bool bias, std::unique_ptr<const ScalarLoss<T>> loss);

}  // namespace parley

#endif  // PARLEY_COMMON_MODEL_MODELS_SCALAR_MODEL_H_
