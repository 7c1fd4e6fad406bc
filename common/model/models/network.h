// Fully connected layers with an activation between them, under a cross-entropy
// or squared loss: what softmax regression and the MLP are made of, and what
// follows the input layers of others.
#ifndef PARLEY_COMMON_MODEL_MODELS_NETWORK_H_
#define PARLEY_COMMON_MODEL_MODELS_NETWORK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/model.h"
#include "common/model/models/input_layers.h"

namespace parley {

enum class Activation { kRelu, kTanh };
enum class OutputLoss {
  kCrossEntropy,  // of class targets, over the outputs as logits
  kSquared        // ½(z − t)² of one output
};

struct NetworkOptions {
  std::vector<int64_t> widths;  // inputs, hidden layers, outputs
  // "weight" and "bias" of layer l are named prefixes[l] + that.
  std::vector<std::string> prefixes = {};
  bool bias = true;
  // Else weights start uniformly, He's way before ReLU and Glorot's elsewhere.
  bool zero_start = false;
  Activation activation = Activation::kRelu;
  OutputLoss loss = OutputLoss::kCrossEntropy;
};

// Parameters: those of the input layers, then per layer "weight" [out, in] and,
// with a bias, "bias" [out]. Without input layers the inputs are the features.
template <typename T>
absl::StatusOr<std::unique_ptr<Model<T>>> MakeNetwork(
    NetworkOptions options,
    std::unique_ptr<const InputLayers<T>> input_layers = nullptr);

// Appends hidden layers and that of the outputs to options->widths, which holds
// the inputs, and names them "layer0.", "layer1.", ...; and reads the
// activation's name. InvalidArgument: a width out of range, an unknown name.
absl::Status AddLayers(const std::vector<int64_t>& hidden, int64_t outputs,
                       const std::string& activation, NetworkOptions* options);

}  // namespace parley

#endif  // PARLEY_COMMON_MODEL_MODELS_NETWORK_H_
