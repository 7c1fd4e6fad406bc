// Convolutions with ReLU and max-pooling over images, one after another.
#ifndef PARLEY_COMMON_MODEL_MODELS_CONVOLUTION_LAYERS_H_
#define PARLEY_COMMON_MODEL_MODELS_CONVOLUTION_LAYERS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/model/model.h"
#include "common/model/models/input_layers.h"

namespace parley {

// A row's features are the planes of its image, one after another, and its
// outputs those of the last pooling. Parameters of layer l, as PyTorch has
// them: "convl.weight" [out, in, kernel, kernel] and "convl.bias" [out].
// InvalidArgument: an option out of range, features that are not the image's, a
// window or a square that the image has no room for.
template <typename T>
absl::StatusOr<std::unique_ptr<const InputLayers<T>>> MakeConvolutionLayers(
    const ModelOptions& options);

}  // namespace parley

#endif  // PARLEY_COMMON_MODEL_MODELS_CONVOLUTION_LAYERS_H_
