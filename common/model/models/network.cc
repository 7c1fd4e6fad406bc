#include "common/model/models/network.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/kernels/kernels.h"
#include "common/model/batch_ops.h"

namespace parley {
namespace {

// Rows that go through the layers at once: bounds the memory.
constexpr int64_t kBlockRows = 256;
constexpr int64_t kMaxWidth = 65536;

// What is kept of that which enters a layer: it itself, the loss's derivative
// by it, or by what goes into the activation that gave it (delta), and the
// derivative of both along v. What leaves the last layer enters one more.
enum Kind : size_t { kInput, kDelta, kInputAlong, kDeltaAlong, kKinds };

struct Layer {
  int64_t in, out;
  int64_t weight;  // where in the parameters
  int64_t bias;    // or −1
};

template <typename T>
class Network final : public Model<T> {
 public:
  Network(ParameterSpec spec, NetworkOptions options, std::vector<Layer> layers,
          std::unique_ptr<const InputLayers<T>> input_layers)
      : spec_(std::move(spec)),
        options_(std::move(options)),
        layers_(std::move(layers)),
        input_layers_(std::move(input_layers)) {}

  const ParameterSpec& spec() const override { return spec_; }
  int64_t features() const override {
    return input_layers_ ? input_layers_->shape().features : layers_.front().in;
  }
  TargetKind target_kind() const override {
    return options_.loss == OutputLoss::kSquared ? TargetKind::kReal
                                                 : TargetKind::kClass;
  }

  void Initialize(Rng& rng, absl::Span<T> w) const override;
  double LossAndGradient(absl::Span<const T> w, const Batch<T>& batch,
                         absl::Span<T> gradient,
                         Workspace<T>& workspace) const override;
  void HessianVectorProduct(absl::Span<const T> w, absl::Span<const T> v,
                            const Batch<T>& batch, absl::Span<T> out,
                            Workspace<T>& workspace) const override;
  EvalSums Evaluate(absl::Span<const T> w, const Batch<T>& batch,
                    Workspace<T>& workspace) const override;
  absl::Status CheckInputs(const Batch<T>& batch) const override {
    return input_layers_ ? input_layers_->CheckInputs(batch) : absl::OkStatus();
  }

 private:
  size_t first_slot() const {
    return input_layers_ ? input_layers_->shape().slots : 0;
  }
  // Of what enters `layer`.
  T* Buffer(Workspace<T>& workspace, Kind kind, size_t layer,
            int64_t rows) const {
    const int64_t width =
        layer < layers_.size() ? layers_[layer].in : layers_.back().out;
    return workspace.Get(first_slot() + 1 + layer * kKinds + kind,
                         rows * width);
  }
  T* LogNormalizers(Workspace<T>& workspace, int64_t rows) const {
    return workspace.Get(first_slot(), rows);
  }

  // Calls f(rows, inputs): some rows of the batch, and what of them enters the
  // first layer.
  template <typename F>
  void ForBlocks(absl::Span<const T> w, const Batch<T>& batch,
                 Workspace<T>& workspace, F f) const {
    PARLEY_CHECK(batch.features == features());
    const int64_t most =
        input_layers_ ? input_layers_->shape().block_rows : kBlockRows;
    for (int64_t begin = 0; begin < batch.rows; begin += most) {
      const Batch<T> rows =
          RowRange(batch, begin, std::min(begin + most, batch.rows));
      f(rows, input_layers_
                  ? Inputs(rows, input_layers_->Forward(w, rows, workspace))
                  : rows);
    }
  }
  Batch<T> Inputs(const Batch<T>& rows, const T* x) const {
    return {.rows = rows.rows,
            .features = layers_.front().in,
            .dense = x,
            .target = rows.target};
  }

  void Activate(int64_t n, T* x) const {
    options_.activation == Activation::kRelu ? k_.relu(n, x) : k_.tanh(n, x);
  }
  // x *= the activation's derivative where it gave `output`.
  void ActivateBackward(int64_t n, const T* output, T* x) const {
    options_.activation == Activation::kRelu ? k_.relu_backward(n, output, x)
                                             : k_.tanh_backward(n, output, x);
  }

  // Returns the outputs of the last layer; those of the others are kept.
  T* Forward(absl::Span<const T> w, const Batch<T>& block,
             Workspace<T>& workspace) const;
  // The same for the outputs' derivatives along v, after Forward. `block_along`
  // is that of the inputs; null where they do not depend on parameters.
  T* ForwardAlong(absl::Span<const T> w, absl::Span<const T> v,
                  const Batch<T>& block, const T* block_along,
                  Workspace<T>& workspace) const;
  // Returns the sum of the losses and turns the outputs z of the last layer
  // into softmax(z) − onehot(target), or z − target: the loss's derivative.
  double LossAndDelta(const Batch<T>& block, T* z,
                      Workspace<T>& workspace) const;
  double Correct(const Batch<T>& block, const T* z) const;
  int64_t Class(T target) const;

  // gradient of layer l's parameters += deltaᵀ·(inputs, 1).
  void AddGradient(size_t l, const Batch<T>& block, const T* delta,
                   absl::Span<T> gradient, Workspace<T>& workspace) const;

  const Kernels<T>& k_ = KernelsFor<T>();
  const ParameterSpec spec_;
  const NetworkOptions options_;
  const std::vector<Layer> layers_;
  const std::unique_ptr<const InputLayers<T>> input_layers_;  // may be null
};

template <typename T>
void Network<T>::Initialize(Rng& rng, absl::Span<T> w) const {
  std::fill(w.begin(), w.end(), T{0});
  if (options_.zero_start) return;
  if (input_layers_) input_layers_->Initialize(rng, w);
  for (size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    const bool he =
        options_.activation == Activation::kRelu && l + 1 < layers_.size();
    const double limit = std::sqrt(
        6.0 / static_cast<double>(he ? layer.in : layer.in + layer.out));
    for (T& x : w.subspan(layer.weight, layer.in * layer.out)) {
      x = static_cast<T>(limit * (2 * rng.Uniform() - 1));
    }
  }
}

template <typename T>
T* Network<T>::Forward(absl::Span<const T> w, const Batch<T>& block,
                       Workspace<T>& workspace) const {
  T* output = nullptr;
  for (size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    const T* input = output;
    output = Buffer(workspace, kInput, l + 1, block.rows);
    if (l == 0) {
      MultiplyBatch(block, layer.out, &w[layer.weight], output);
    } else {
      k_.gemm(false, true, block.rows, layer.out, layer.in, T{1}, input,
              &w[layer.weight], T{0}, output);
    }
    if (layer.bias >= 0) {
      k_.add_bias(block.rows, layer.out, &w[layer.bias], output);
    }
    if (l + 1 < layers_.size()) Activate(block.rows * layer.out, output);
  }
  return output;
}

template <typename T>
int64_t Network<T>::Class(T target) const {
  PARLEY_CHECK(target >= 0 && target < static_cast<T>(layers_.back().out));
  return static_cast<int64_t>(target);
}

template <typename T>
double Network<T>::LossAndDelta(const Batch<T>& block, T* z,
                                Workspace<T>& workspace) const {
  double sum = 0;
  if (options_.loss == OutputLoss::kSquared) {
    for (int64_t r = 0; r < block.rows; ++r) {
      z[r] -= block.target[r];
      sum += 0.5 * static_cast<double>(z[r]) * static_cast<double>(z[r]);
    }
    return sum;
  }
  const int64_t classes = layers_.back().out;
  for (int64_t r = 0; r < block.rows; ++r) {
    sum -= static_cast<double>(z[r * classes + Class(block.target[r])]);
  }
  T* log_normalizer = LogNormalizers(workspace, block.rows);
  k_.softmax_rows(block.rows, classes, z, log_normalizer);
  for (int64_t r = 0; r < block.rows; ++r) {
    sum += static_cast<double>(log_normalizer[r]);
    z[r * classes + Class(block.target[r])] -= 1;
  }
  return sum;
}

template <typename T>
void Network<T>::AddGradient(size_t l, const Batch<T>& block, const T* delta,
                             absl::Span<T> gradient,
                             Workspace<T>& workspace) const {
  const Layer& layer = layers_[l];
  if (l == 0) {
    AddTransposed(block, layer.out, delta, &gradient[layer.weight]);
  } else {
    k_.gemm(true, false, layer.out, layer.in, block.rows, T{1}, delta,
            Buffer(workspace, kInput, l, block.rows), T{1},
            &gradient[layer.weight]);
  }
  if (layer.bias >= 0) {
    k_.column_sums(block.rows, layer.out, delta, &gradient[layer.bias]);
  }
}

template <typename T>
double Network<T>::LossAndGradient(absl::Span<const T> w, const Batch<T>& batch,
                                   absl::Span<T> gradient,
                                   Workspace<T>& workspace) const {
  std::fill(gradient.begin(), gradient.end(), T{0});
  const double rows = static_cast<double>(batch.rows);
  double sum = 0;
  ForBlocks(w, batch, workspace, [&](const auto& some, const auto& block) {
    T* delta = Forward(w, block, workspace);
    sum += LossAndDelta(block, delta, workspace);
    k_.scale(block.rows * layers_.back().out, static_cast<T>(1 / rows), delta);
    for (size_t l = layers_.size(); l-- > 0;) {
      AddGradient(l, block, delta, gradient, workspace);
      if (l == 0 && !input_layers_) break;
      T* below = Buffer(workspace, kDelta, l, block.rows);
      k_.gemm(false, false, block.rows, layers_[l].in, layers_[l].out, T{1},
              delta, &w[layers_[l].weight], T{0}, below);
      if (l > 0) {
        ActivateBackward(block.rows * layers_[l].in,
                         Buffer(workspace, kInput, l, block.rows), below);
      }
      delta = below;
    }
    if (input_layers_) {
      input_layers_->Backward(w, some, delta, gradient, workspace);
    }
  });
  return sum / rows;
}

template <typename T>
T* Network<T>::ForwardAlong(absl::Span<const T> w, absl::Span<const T> v,
                            const Batch<T>& block, const T* block_along,
                            Workspace<T>& workspace) const {
  T* along = nullptr;
  for (size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    const T* input_along = l == 0 ? block_along : along;
    along = Buffer(workspace, kInputAlong, l + 1, block.rows);
    if (l == 0) {
      MultiplyBatch(block, layer.out, &v[layer.weight], along);
    } else {
      k_.gemm(false, true, block.rows, layer.out, layer.in, T{1},
              Buffer(workspace, kInput, l, block.rows), &v[layer.weight], T{0},
              along);
    }
    if (input_along != nullptr) {
      k_.gemm(false, true, block.rows, layer.out, layer.in, T{1}, input_along,
              &w[layer.weight], T{1}, along);
    }
    if (layer.bias >= 0) {
      k_.add_bias(block.rows, layer.out, &v[layer.bias], along);
    }
    if (l + 1 < layers_.size()) {
      ActivateBackward(block.rows * layer.out,
                       Buffer(workspace, kInput, l + 1, block.rows), along);
    }
  }
  return along;
}

// The R-operator (Pearlmutter 1994): the derivative along v of every step of
// LossAndGradient.
template <typename T>
void Network<T>::HessianVectorProduct(absl::Span<const T> w,
                                      absl::Span<const T> v,
                                      const Batch<T>& batch, absl::Span<T> out,
                                      Workspace<T>& workspace) const {
  std::fill(out.begin(), out.end(), T{0});
  const T share = static_cast<T>(1 / static_cast<double>(batch.rows));
  const int64_t outputs = layers_.back().out;
  ForBlocks(w, batch, workspace, [&](const auto& some, const auto& block) {
    const T* block_along =
        input_layers_ ? input_layers_->ForwardAlong(w, v, some, workspace)
                      : nullptr;
    T* delta = Forward(w, block, workspace);
    T* delta_along = ForwardAlong(w, v, block, block_along, workspace);
    LossAndDelta(block, delta, workspace);
    if (options_.loss == OutputLoss::kCrossEntropy) {
      // (diag(p) − p·pᵀ)·along, where p = delta + onehot(target).
      for (int64_t r = 0; r < block.rows; ++r) {
        T* row = delta + r * outputs;
        T* along = delta_along + r * outputs;
        T& at_target = row[Class(block.target[r])];
        at_target += 1;
        const T mean = k_.dot(outputs, row, along);
        for (int64_t c = 0; c < outputs; ++c)
          along[c] = row[c] * (along[c] - mean);
        at_target -= 1;
      }
    }
    k_.scale(block.rows * outputs, share, delta);
    k_.scale(block.rows * outputs, share, delta_along);
    for (size_t l = layers_.size(); l-- > 0;) {
      const Layer& layer = layers_[l];
      AddGradient(l, block, delta_along, out, workspace);
      if (l == 0 && !input_layers_) break;
      const int64_t n = block.rows * layer.in;
      const T* input_along =
          l == 0 ? block_along : Buffer(workspace, kInputAlong, l, block.rows);
      k_.gemm(true, false, layer.out, layer.in, block.rows, T{1}, delta,
              input_along, T{1}, &out[layer.weight]);
      T* below = Buffer(workspace, kDelta, l, block.rows);
      T* below_along = Buffer(workspace, kDeltaAlong, l, block.rows);
      k_.gemm(false, false, block.rows, layer.in, layer.out, T{1}, delta,
              &w[layer.weight], T{0}, below);
      k_.gemm(false, false, block.rows, layer.in, layer.out, T{1}, delta_along,
              &w[layer.weight], T{0}, below_along);
      k_.gemm(false, false, block.rows, layer.in, layer.out, T{1}, delta,
              &v[layer.weight], T{1}, below_along);
      delta = below;
      delta_along = below_along;
      if (l == 0) break;
      const T* input = Buffer(workspace, kInput, l, block.rows);
      ActivateBackward(n, input, below_along);
      if (options_.activation == Activation::kTanh) {
        // The derivative of 1 − a² along v is −2a times that of a.
        for (int64_t i = 0; i < n; ++i) {
          below_along[i] -= 2 * input[i] * input_along[i] * below[i];
        }
      }
      ActivateBackward(n, input, below);
    }
    if (input_layers_) {
      input_layers_->BackwardAlong(w, v, some, delta, delta_along, out,
                                   workspace);
    }
  });
}

template <typename T>
double Network<T>::Correct(const Batch<T>& block, const T* z) const {
  if (options_.loss == OutputLoss::kSquared) return 0;
  const int64_t classes = layers_.back().out;
  int64_t correct = 0;
  for (int64_t r = 0; r < block.rows; ++r) {
    const T* row = z + r * classes;
    correct +=
        std::max_element(row, row + classes) - row == Class(block.target[r]);
  }
  return static_cast<double>(correct);
}

template <typename T>
EvalSums Network<T>::Evaluate(absl::Span<const T> w, const Batch<T>& batch,
                              Workspace<T>& workspace) const {
  EvalSums sums;
  sums.examples = static_cast<double>(batch.rows);
  ForBlocks(w, batch, workspace, [&](const auto&, const auto& block) {
    T* z = Forward(w, block, workspace);
    sums.correct += Correct(block, z);
    sums.loss += LossAndDelta(block, z, workspace);
  });
  return sums;
}

}  // namespace

absl::Status AddLayers(const std::vector<int64_t>& hidden, int64_t outputs,
                       const std::string& activation, NetworkOptions* options) {
  if (activation == "tanh") {
    options->activation = Activation::kTanh;
  } else if (!activation.empty() && activation != "relu") {
    return absl::InvalidArgumentError(absl::StrCat(
        "unknown activation '", activation, "'; known are relu, tanh"));
  }
  for (int64_t width : hidden) {
    if (width < 1 || width > kMaxWidth) {
      return absl::InvalidArgumentError(absl::StrCat(
          "a hidden layer has 1 to ", kMaxWidth, " units, not ", width));
    }
    options->widths.push_back(width);
  }
  options->widths.push_back(outputs);
  for (size_t l = 0; l + 1 < options->widths.size(); ++l) {
    options->prefixes.push_back(absl::StrCat("layer", l, "."));
  }
  return absl::OkStatus();
}

template <typename T>
absl::StatusOr<std::unique_ptr<Model<T>>> MakeNetwork(
    NetworkOptions options,
    std::unique_ptr<const InputLayers<T>> input_layers) {
  std::vector<TensorSpec> tensors;
  if (input_layers) tensors = input_layers->shape().tensors;
  const size_t first = tensors.size();
  for (size_t l = 0; l + 1 < options.widths.size(); ++l) {
    const int64_t in = options.widths[l], out = options.widths[l + 1];
    tensors.push_back({.name = absl::StrCat(options.prefixes[l], "weight"),
                       .shape = {out, in}});
    if (options.bias) {
      tensors.push_back(
          {.name = absl::StrCat(options.prefixes[l], "bias"), .shape = {out}});
    }
  }
  PARLEY_ASSIGN_OR_RETURN(
      ParameterSpec spec,
      ParameterSpec::Create(DTypeOf<T>(), std::move(tensors)));
  std::vector<Layer> layers;
  for (size_t l = 0; l + 1 < options.widths.size(); ++l) {
    const size_t tensor = first + (options.bias ? 2 * l : l);
    layers.push_back({.in = options.widths[l],
                      .out = options.widths[l + 1],
                      .weight = spec.offset(tensor),
                      .bias = options.bias ? spec.offset(tensor + 1) : -1});
  }
  return std::make_unique<Network<T>>(std::move(spec), std::move(options),
                                      std::move(layers),
                                      std::move(input_layers));
}

template absl::StatusOr<std::unique_ptr<Model<float>>> MakeNetwork(
    NetworkOptions, std::unique_ptr<const InputLayers<float>>);
template absl::StatusOr<std::unique_ptr<Model<double>>> MakeNetwork(
    NetworkOptions, std::unique_ptr<const InputLayers<double>>);

}  // namespace parley
