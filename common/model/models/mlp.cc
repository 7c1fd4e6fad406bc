// Multilayer perceptron: ReLU or tanh, cross-entropy over classes or squared
// loss of one output.
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/model/models/models.h"
#include "common/model/models/network.h"

namespace parley {
namespace {

constexpr int64_t kMaxWidth = 65536;

}  // namespace

template <typename T>
ModelOr<T> MakeMlp(const ModelOptions& options) {
  NetworkOptions network;
  if (options.activation == "tanh") {
    network.activation = Activation::kTanh;
  } else if (!options.activation.empty() && options.activation != "relu") {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown activation '", options.activation,
                     "' of an mlp; known are relu, tanh"));
  }
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
  network.widths = {options.features};
  for (int64_t width : options.hidden) {
    if (width < 1 || width > kMaxWidth) {
      return absl::InvalidArgumentError(
          absl::StrCat("a hidden layer of an mlp has 1 to ", kMaxWidth,
                       " units, not ", width));
    }
    network.widths.push_back(width);
  }
  network.widths.push_back(outputs);
  for (size_t l = 0; l + 1 < network.widths.size(); ++l) {
    network.prefixes.push_back(absl::StrCat("layer", l, "."));
  }
  return MakeNetwork<T>(std::move(network));
}

template ModelOr<float> MakeMlp(const ModelOptions&);
template ModelOr<double> MakeMlp(const ModelOptions&);

}  // namespace parley
