// What a network may have before its fully connected layers: convolutions, an
// embedding.
#ifndef PARLEY_COMMON_MODEL_MODELS_INPUT_LAYERS_H_
#define PARLEY_COMMON_MODEL_MODELS_INPUT_LAYERS_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/base/random.h"
#include "common/model/batch.h"
#include "common/model/model.h"
#include "common/model/parameters.h"

namespace parley {

struct InputLayersShape {
  int64_t features = 0;  // that a row has
  int64_t outputs = 0;   // a row
  // Their parameters come first in the network's.
  std::vector<TensorSpec> tensors = {};
  // Of the workspace, which they use from 0.
  size_t slots = 0;
  // Rows that may go through at once: bounds the memory.
  int64_t block_rows = 0;
};

// Immutable and thread-safe, as models are. In what follows w, v and the
// gradients start with these layers' parameters; outputs, and deltas (the
// loss's derivative by the outputs), are rows×outputs; what is returned lies in
// the workspace until the next call of the same method. The other calls follow
// Forward with the same arguments; "along" is a derivative along v.
template <typename T>
class InputLayers {
 public:
  explicit InputLayers(InputLayersShape shape) : shape_(std::move(shape)) {}
  virtual ~InputLayers() = default;

  const InputLayersShape& shape() const { return shape_; }

  // As Model has them.
  virtual void Initialize(Rng& rng, absl::Span<T> w) const = 0;
  virtual absl::Status CheckInputs(const Batch<T>& batch) const = 0;

  virtual const T* Forward(absl::Span<const T> w, const Batch<T>& block,
                           Workspace<T>& workspace) const = 0;
  virtual const T* ForwardAlong(absl::Span<const T> w, absl::Span<const T> v,
                                const Batch<T>& block,
                                Workspace<T>& workspace) const = 0;
  // gradient += the loss's derivative by the parameters.
  virtual void Backward(absl::Span<const T> w, const Batch<T>& block,
                        const T* delta, absl::Span<T> gradient,
                        Workspace<T>& workspace) const = 0;
  // gradient_along += that of the gradient; after ForwardAlong.
  virtual void BackwardAlong(absl::Span<const T> w, absl::Span<const T> v,
                             const Batch<T>& block, const T* delta,
                             const T* delta_along, absl::Span<T> gradient_along,
                             Workspace<T>& workspace) const = 0;

 private:
  const InputLayersShape shape_;
};

}  // namespace parley

#endif  // PARLEY_COMMON_MODEL_MODELS_INPUT_LAYERS_H_
