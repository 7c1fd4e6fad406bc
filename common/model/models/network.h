// Fully connected layers with an activation between them, under a cross-entropy
// or squared loss: what softmax regression and the MLP are made of.
#ifndef PARLEY_COMMON_MODEL_MODELS_NETWORK_H_
#define PARLEY_COMMON_MODEL_MODELS_NETWORK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/model.h"

namespace parley {

enum class Activation { kRelu, kTanh };
enum class OutputLoss {
  kCrossEntropy,  // of class targets, over the outputs as logits
  kSquared        // ½(z − t)² of one output
};

struct NetworkOptions {
  std::vector<int64_t> widths;  // features, hidden layers, outputs
  // "weight" and "bias" of layer l are named prefixes[l] + that.
  std::vector<std::string> prefixes;
  bool bias = true;
  // Else weights start uniformly, He's way before ReLU and Glorot's elsewhere.
  bool zero_start = false;
  Activation activation = Activation::kRelu;
  OutputLoss loss = OutputLoss::kCrossEntropy;
};

// Parameters: per layer "weight" [out, in] and, with a bias, "bias" [out].
template <typename T>
absl::StatusOr<std::unique_ptr<Model<T>>> MakeNetwork(NetworkOptions options);

}  // namespace parley

#endif  // PARLEY_COMMON_MODEL_MODELS_NETWORK_H_
