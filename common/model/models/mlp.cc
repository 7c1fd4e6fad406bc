// Multilayer perceptron: ReLU or tanh, cross-entropy over classes or squared
// loss of one output.
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/models/models.h"
#include "common/model/models/network.h"

namespace parley {

template <typename T>
ModelOr<T> MakeMlp(const ModelOptions& options) {
  NetworkOptions network = {.widths = {options.features}};
  int64_t outputs = options.classes;
  if (options.loss == "squared") {
    network.loss = OutputLoss::kSquared;
    outputs = 1;
  } else if (!options.loss.empty() && options.loss != "cross_entropy") {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown loss '", options.loss,
                     "' of an mlp; known are cross_entropy, squared"));
  } else if (options.classes < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("an mlp with cross-entropy needs at least 2 classes, not ",
                     options.classes));
  }
  PARLEY_RETURN_IF_ERROR(
      AddLayers(options.hidden, outputs, options.activation, &network));
  return MakeNetwork<T>(std::move(network));
}

template ModelOr<float> MakeMlp(const ModelOptions&);
template ModelOr<double> MakeMlp(const ModelOptions&);

}  // namespace parley
