// Convolutional network: convolutions over images, then fully connected layers
// with ReLU, cross-entropy over classes.
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/models/convolution_layers.h"
#include "common/model/models/models.h"
#include "common/model/models/network.h"

namespace parley {

template <typename T>
ModelOr<T> MakeCnn(const ModelOptions& options) {
  if (options.classes < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("a cnn needs at least 2 classes, not ", options.classes));
  }
  PARLEY_ASSIGN_OR_RETURN(auto convolutions, MakeConvolutionLayers<T>(options));
  NetworkOptions network = {.widths = {convolutions->shape().outputs}};
  PARLEY_RETURN_IF_ERROR(
      AddLayers(options.hidden, options.classes, "relu", &network));
  return MakeNetwork<T>(std::move(network), std::move(convolutions));
}

template ModelOr<float> MakeCnn(const ModelOptions&);
template ModelOr<double> MakeCnn(const ModelOptions&);

}  // namespace parley
