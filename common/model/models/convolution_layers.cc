#include "common/model/models/convolution_layers.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/kernels/kernels.h"
#include "common/model/models/convolution_plan.h"

namespace parley {
namespace {

// Of activations at once, as far as a row has fewer.
constexpr int64_t kBlockElements = int64_t{1} << 22;
constexpr int64_t kMostBlockRows = 64;

// Inside, an image lies pixel by pixel with its channels side by side, and with
// the zeros around it that its convolution wants. What a convolution makes is
// pooled at once, image by image, so that it stays in the cache.

using Layer = ConvolutionPlan;

PatchShape PatchesOf(const Layer& l) {
  return {l.width, l.in, l.kernel, l.rows * l.pool, l.cols * l.pool};
}

// Per layer: the weights with the channels last, and v and the gradient laid
// out so; its inputs, their derivative along v, where the largest were, and the
// gradient by the input of an image and its derivative along v.
enum Kind : size_t {
  kWeights,
  kWeightsAlong,
  kGradient,
  kInput,
  kInputAlong,
  kWhere,
  kDelta,
  kDeltaAlong,
  kKinds
};
// For all: windows, what convolutions make of them, and what leaves.
enum Slot : size_t {
  kPatches,
  kPatchesAlong,
  kMade,
  kMadeAlong,
  kOutputs,
  kOutputsAlong,
  kSlots
};

// to[cols×rows] = the transpose of from[rows×cols].
template <typename T>
void Transpose(int64_t rows, int64_t cols, const T* from, T* to) {
  for (int64_t c = 0; c < cols; ++c) {
    for (int64_t r = 0; r < rows; ++r) *to++ = from[r * cols + c];
  }
}

template <typename T>
class ConvolutionLayers final : public InputLayers<T> {
 public:
  ConvolutionLayers(InputLayersShape shape, std::vector<Layer> layers)
      : InputLayers<T>(std::move(shape)), layers_(std::move(layers)) {}

  // Uniformly, He's way.
  void Initialize(Rng& rng, absl::Span<T> w) const override {
    for (const Layer& layer : layers_) {
      const double limit = std::sqrt(6.0 / static_cast<double>(layer.window()));
      for (T& x : w.subspan(layer.weight, layer.out * layer.window())) {
        x = static_cast<T>(limit * (2 * rng.Uniform() - 1));
      }
    }
  }
  absl::Status CheckInputs(const Batch<T>&) const override {
    return absl::OkStatus();
  }

  const T* Forward(absl::Span<const T> w, const Batch<T>& block,
                   Workspace<T>& workspace) const override;
  const T* ForwardAlong(absl::Span<const T> w, absl::Span<const T> v,
                        const Batch<T>& block,
                        Workspace<T>& workspace) const override;
  void Backward(absl::Span<const T> w, const Batch<T>& block, const T* delta,
                absl::Span<T> gradient, Workspace<T>& workspace) const override;
  void BackwardAlong(absl::Span<const T> w, absl::Span<const T> v,
                     const Batch<T>& block, const T* delta,
                     const T* delta_along, absl::Span<T> gradient_along,
                     Workspace<T>& workspace) const override;

 private:
  // What a pass over the images works with, for one layer; those of a
  // derivative along v are null elsewhere.
  struct Buffers {
    T *weights, *weights_along, *gradient, *patches, *patches_along, *made,
        *made_along;
  };

  T* Get(Workspace<T>& workspace, Kind kind, size_t l, int64_t n) const {
    return workspace.Get(kSlots + l * kKinds + kind, n);
  }
  Buffers Of(size_t l, Workspace<T>& workspace, bool along = false) const;

  // Of the input of layer l, or of the output of the last one.
  int64_t InputElements(size_t l) const {
    return l < layers_.size() ? layers_[l].input_elements()
                              : layers_.back().out * last_pixels();
  }
  // What enters layer l, or leaves the last one, of a row.
  T* Input(Workspace<T>& workspace, Kind kind, size_t l, int64_t rows,
           int64_t row) const {
    const int64_t n = InputElements(l);
    return Get(workspace, kind, l, rows * n + kPatchSlack) + row * n;
  }
  T* Where(Workspace<T>& workspace, size_t l, int64_t rows, int64_t row) const {
    const int64_t n = layers_[l].output_pixels() * layers_[l].out;
    return Get(workspace, kWhere, l, rows * n) + row * n;
  }
  int64_t last_pixels() const { return layers_.back().output_pixels(); }

  // The next layer's input may have zeros around it: where the pooling's first
  // pixel goes in it, and how far its lines are apart.
  int64_t NextPadding(size_t l) const {
    return l + 1 < layers_.size() ? layers_[l + 1].padding : 0;
  }
  int64_t FirstPixel(size_t l) const {
    const int64_t padding = NextPadding(l);
    const int64_t width = layers_[l].cols + 2 * padding;
    return (padding * width + padding) * layers_[l].out;
  }
  PoolShape Pooling(size_t l) const {
    const Layer& layer = layers_[l];
    return {layer.rows, layer.cols, layer.out, layer.pool,
            (layer.cols + 2 * NextPadding(l)) * layer.out};
  }

  // weights[out × kernel²·in] from the parameters [out × in·kernel²].
  void Pack(const Layer& layer, absl::Span<const T> w, T* weights) const;
  void AddUnpacked(const Layer& layer, const T* gradient,
                   absl::Span<T> out) const;
  void ReadImage(const Batch<T>& block, int64_t row, T* image) const;

  // The product of windows and weights.
  void Multiply(const Layer& layer, const T* patches, const T* weights, T beta,
                T* made) const {
    k_.gemm(false, true, layer.places(), layer.out, layer.window(), T{1},
            patches, weights, beta, made);
  }
  // Of the gradient by it, that by the weights, added, and by the windows.
  void AddWeightGradient(const Layer& layer, const T* made, const T* patches,
                         T* gradient) const {
    k_.gemm(true, false, layer.out, layer.window(), layer.places(), T{1}, made,
            patches, T{1}, gradient);
  }
  void PatchGradient(const Layer& layer, const T* made, const T* weights,
                     T beta, T* patches) const {
    k_.gemm(false, false, layer.places(), layer.window(), layer.out, T{1}, made,
            weights, beta, patches);
  }
  // The gradient by the layer's input, of that by its windows.
  T* InputGradient(size_t l, const T* patches, Kind kind,
                   Workspace<T>& workspace) const {
    const int64_t n = layers_[l].input_elements();
    T* gradient = Get(workspace, kind, l, n);
    std::fill_n(gradient, n, T{0});
    k_.add_patches(PatchesOf(layers_[l]), patches, gradient);
    return gradient;
  }
  // The loss's derivative by the pixels that leave the last layer, of a row.
  T* LastDelta(const T* delta, int64_t row, Kind kind,
               Workspace<T>& workspace) const {
    const int64_t n = this->shape().outputs;
    T* last = Get(workspace, kind, layers_.size(), n);
    Transpose(layers_.back().out, last_pixels(), delta + row * n, last);
    return last;
  }

  const Kernels<T>& k_ = KernelsFor<T>();
  const std::vector<Layer> layers_;
};

template <typename T>
typename ConvolutionLayers<T>::Buffers ConvolutionLayers<T>::Of(
    size_t l, Workspace<T>& workspace, bool along) const {
  const Layer& layer = layers_[l];
  const int64_t weights = layer.out * layer.window();
  const int64_t patches = layer.places() * layer.window() + kPatchSlack;
  const int64_t made = layer.places() * layer.out;
  Buffers b = {.weights = Get(workspace, kWeights, l, weights),
               .weights_along = nullptr,
               .gradient = Get(workspace, kGradient, l, weights),
               .patches = workspace.Get(kPatches, patches),
               .patches_along = nullptr,
               .made = workspace.Get(kMade, made),
               .made_along = nullptr};
  if (along) {
    b.weights_along = Get(workspace, kWeightsAlong, l, weights);
    b.patches_along = workspace.Get(kPatchesAlong, patches);
    b.made_along = workspace.Get(kMadeAlong, made);
  }
  return b;
}

template <typename T>
void ConvolutionLayers<T>::Pack(const Layer& layer, absl::Span<const T> w,
                                T* weights) const {
  for (int64_t o = 0; o < layer.out; ++o) {
    const int64_t at = o * layer.window();
    Transpose(layer.in, layer.kernel * layer.kernel, &w[layer.weight + at],
              weights + at);
  }
}

template <typename T>
void ConvolutionLayers<T>::AddUnpacked(const Layer& layer, const T* gradient,
                                       absl::Span<T> out) const {
  T* to = &out[layer.weight];
  const int64_t taps = layer.kernel * layer.kernel;
  for (int64_t o = 0; o < layer.out; ++o, gradient += layer.window()) {
    for (int64_t c = 0; c < layer.in; ++c) {
      for (int64_t i = 0; i < taps; ++i) *to++ += gradient[i * layer.in + c];
    }
  }
}

template <typename T>
void ConvolutionLayers<T>::ReadImage(const Batch<T>& block, int64_t row,
                                     T* image) const {
  const Layer& layer = layers_.front();
  const int64_t padding = layer.padding;
  const int64_t height = layer.height - 2 * padding;
  const int64_t width = layer.width - 2 * padding;
  const auto at = [&](int64_t c, int64_t y, int64_t x) {
    return ((y + padding) * layer.width + x + padding) * layer.in + c;
  };
  if (padding > 0 || block.sparse()) {
    std::fill_n(image, layer.input_elements(), T{0});
  }
  if (block.sparse()) {
    for (int64_t i = block.row_begin[row]; i < block.row_begin[row + 1]; ++i) {
      const int64_t pixel = block.column[i] / width;
      image[at(pixel / height, pixel % height, block.column[i] % width)] =
          block.value[i];
    }
    return;
  }
  const T* from = block.dense + row * block.features;
  for (int64_t c = 0; c < layer.in; ++c) {
    for (int64_t y = 0; y < height; ++y) {
      T* to = image + at(c, y, 0);
      for (int64_t x = 0; x < width; ++x) to[x * layer.in] = *from++;
    }
  }
}

template <typename T>
const T* ConvolutionLayers<T>::Forward(absl::Span<const T> w,
                                       const Batch<T>& block,
                                       Workspace<T>& workspace) const {
  const int64_t n = this->shape().outputs;
  T* const outputs = workspace.Get(kOutputs, block.rows * n);
  for (size_t l = 0; l < layers_.size(); ++l) {
    Pack(layers_[l], w, Of(l, workspace).weights);
    if (NextPadding(l) > 0) {
      std::fill_n(Input(workspace, kInput, l + 1, block.rows, 0),
                  block.rows * InputElements(l + 1), T{0});
    }
  }
  for (int64_t r = 0; r < block.rows; ++r) {
    const T* image = Input(workspace, kInput, 0, block.rows, r);
    ReadImage(block, r, Input(workspace, kInput, 0, block.rows, r));
    for (size_t l = 0; l < layers_.size(); ++l) {
      const Layer& layer = layers_[l];
      const Buffers b = Of(l, workspace);
      k_.patches(PatchesOf(layer), image, b.patches);
      Multiply(layer, b.patches, b.weights, T{0}, b.made);
      T* next = Input(workspace, kInput, l + 1, block.rows, r);
      k_.max_pool(Pooling(l), b.made, &w[layer.bias], next + FirstPixel(l),
                  Where(workspace, l, block.rows, r));
      image = next;
    }
    Transpose(last_pixels(), layers_.back().out, image, outputs + r * n);
  }
  return outputs;
}

template <typename T>
void ConvolutionLayers<T>::Backward(absl::Span<const T>, const Batch<T>& block,
                                    const T* delta, absl::Span<T> gradient,
                                    Workspace<T>& workspace) const {
  for (size_t l = 0; l < layers_.size(); ++l) {
    std::fill_n(Of(l, workspace).gradient, layers_[l].out * layers_[l].window(),
                T{0});
  }
  for (int64_t r = 0; r < block.rows; ++r) {
    const T* below = LastDelta(delta, r, kDelta, workspace);
    for (size_t l = layers_.size(); l-- > 0;) {
      const Layer& layer = layers_[l];
      const Buffers b = Of(l, workspace);
      k_.max_pool_backward(
          Pooling(l),
          Input(workspace, kInput, l + 1, block.rows, r) + FirstPixel(l),
          Where(workspace, l, block.rows, r), below + FirstPixel(l),
          &gradient[layer.bias], b.made);
      k_.patches(PatchesOf(layer), Input(workspace, kInput, l, block.rows, r),
                 b.patches);
      AddWeightGradient(layer, b.made, b.patches, b.gradient);
      if (l == 0) break;
      PatchGradient(layer, b.made, b.weights, T{0}, b.patches);
      below = InputGradient(l, b.patches, kDelta, workspace);
    }
  }
  for (size_t l = 0; l < layers_.size(); ++l) {
    AddUnpacked(layers_[l], Of(l, workspace).gradient, gradient);
  }
}

template <typename T>
const T* ConvolutionLayers<T>::ForwardAlong(absl::Span<const T>,
                                            absl::Span<const T> v,
                                            const Batch<T>& block,
                                            Workspace<T>& workspace) const {
  const int64_t n = this->shape().outputs;
  T* const along = workspace.Get(kOutputsAlong, block.rows * n);
  for (size_t l = 0; l < layers_.size(); ++l) {
    Pack(layers_[l], v, Of(l, workspace, true).weights_along);
    if (NextPadding(l) > 0) {
      std::fill_n(Input(workspace, kInputAlong, l + 1, block.rows, 0),
                  block.rows * InputElements(l + 1), T{0});
    }
  }
  for (int64_t r = 0; r < block.rows; ++r) {
    for (size_t l = 0; l < layers_.size(); ++l) {
      const Layer& layer = layers_[l];
      const Buffers b = Of(l, workspace, true);
      k_.patches(PatchesOf(layer), Input(workspace, kInput, l, block.rows, r),
                 b.patches);
      Multiply(layer, b.patches, b.weights_along, T{0}, b.made_along);
      if (l > 0) {  // the image itself does not move
        k_.patches(PatchesOf(layer),
                   Input(workspace, kInputAlong, l, block.rows, r),
                   b.patches_along);
        Multiply(layer, b.patches_along, b.weights, T{1}, b.made_along);
      }
      k_.max_pool_along(
          Pooling(l),
          Input(workspace, kInput, l + 1, block.rows, r) + FirstPixel(l),
          Where(workspace, l, block.rows, r), b.made_along, &v[layer.bias],
          Input(workspace, kInputAlong, l + 1, block.rows, r) + FirstPixel(l));
    }
    Transpose(last_pixels(), layers_.back().out,
              Input(workspace, kInputAlong, layers_.size(), block.rows, r),
              along + r * n);
  }
  return along;
}

// The R-operator (Pearlmutter 1994) over Backward. ReLU and pooling are linear
// where the largest stay the largest.
template <typename T>
void ConvolutionLayers<T>::BackwardAlong(absl::Span<const T>,
                                         absl::Span<const T>,
                                         const Batch<T>& block, const T* delta,
                                         const T* delta_along,
                                         absl::Span<T> gradient_along,
                                         Workspace<T>& workspace) const {
  std::vector<T> unused;  // the gradient by the biases, not along v
  for (size_t l = 0; l < layers_.size(); ++l) {
    std::fill_n(Of(l, workspace).gradient, layers_[l].out * layers_[l].window(),
                T{0});
  }
  for (int64_t r = 0; r < block.rows; ++r) {
    const T* below = LastDelta(delta, r, kDelta, workspace);
    const T* below_along = LastDelta(delta_along, r, kDeltaAlong, workspace);
    for (size_t l = layers_.size(); l-- > 0;) {
      const Layer& layer = layers_[l];
      const Buffers b = Of(l, workspace, true);
      const T* output =
          Input(workspace, kInput, l + 1, block.rows, r) + FirstPixel(l);
      const T* where = Where(workspace, l, block.rows, r);
      unused.resize(layer.out);
      k_.max_pool_backward(Pooling(l), output, where, below + FirstPixel(l),
                           unused.data(), b.made);
      k_.max_pool_backward(Pooling(l), output, where,
                           below_along + FirstPixel(l),
                           &gradient_along[layer.bias], b.made_along);
      k_.patches(PatchesOf(layer), Input(workspace, kInput, l, block.rows, r),
                 b.patches);
      AddWeightGradient(layer, b.made_along, b.patches, b.gradient);
      if (l == 0) break;
      k_.patches(PatchesOf(layer),
                 Input(workspace, kInputAlong, l, block.rows, r),
                 b.patches_along);
      AddWeightGradient(layer, b.made, b.patches_along, b.gradient);
      PatchGradient(layer, b.made_along, b.weights, T{0}, b.patches_along);
      PatchGradient(layer, b.made, b.weights_along, T{1}, b.patches_along);
      below_along = InputGradient(l, b.patches_along, kDeltaAlong, workspace);
      PatchGradient(layer, b.made, b.weights, T{0}, b.patches);
      below = InputGradient(l, b.patches, kDelta, workspace);
    }
  }
  for (size_t l = 0; l < layers_.size(); ++l) {
    AddUnpacked(layers_[l], Of(l, workspace).gradient, gradient_along);
  }
}

}  // namespace

template <typename T>
absl::StatusOr<std::unique_ptr<const InputLayers<T>>> MakeConvolutionLayers(
    const ModelOptions& options) {
  PARLEY_ASSIGN_OR_RETURN(std::vector<Layer> layers, PlanConvolutions(options));
  InputLayersShape shape = {.features = options.features};
  int64_t row_elements = 0;
  for (size_t l = 0; l < layers.size(); ++l) {
    const Layer& layer = layers[l];
    shape.tensors.push_back(
        {.name = absl::StrCat("conv", l, ".weight"),
         .shape = {layer.out, layer.in, layer.kernel, layer.kernel}});
    shape.tensors.push_back(
        {.name = absl::StrCat("conv", l, ".bias"), .shape = {layer.out}});
    shape.outputs = layer.out * layer.output_pixels();
    row_elements += layer.input_elements() + 2 * shape.outputs;
  }
  shape.slots = kSlots + (layers.size() + 1) * kKinds;
  shape.block_rows =
      std::clamp<int64_t>(kBlockElements / row_elements, 1, kMostBlockRows);
  return std::make_unique<const ConvolutionLayers<T>>(std::move(shape),
                                                      std::move(layers));
}

template absl::StatusOr<std::unique_ptr<const InputLayers<float>>>
MakeConvolutionLayers(const ModelOptions&);
template absl::StatusOr<std::unique_ptr<const InputLayers<double>>>
MakeConvolutionLayers(const ModelOptions&);

}  // namespace parley
