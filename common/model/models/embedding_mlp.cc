// Embedding and MLP: the features are indices of symbols, each looked up in one
// table of vectors; fully connected layers take the vectors side by side.
#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/kernels/kernels.h"
#include "common/model/models/input_layers.h"
#include "common/model/models/models.h"
#include "common/model/models/network.h"

namespace parley {
namespace {

constexpr int64_t kMaxVocabulary = 1 << 20;
constexpr int64_t kMaxDimension = 65536;
constexpr int64_t kBlockRows = 256;

enum Slot : size_t { kOutputs, kOutputsAlong, kSlots };

// Calls f(position, index) for the features of a row; what a sparse row does
// not list is 0.
template <typename T, typename F>
void ForIndices(const Batch<T>& batch, int64_t row, F f) {
  if (!batch.sparse()) {
    const T* x = batch.dense + row * batch.features;
    for (int64_t j = 0; j < batch.features; ++j) f(j, x[j]);
    return;
  }
  int64_t i = batch.row_begin[row];
  const int64_t end = batch.row_begin[row + 1];
  for (int64_t j = 0; j < batch.features; ++j) {
    const bool listed = i < end && batch.column[i] == j;
    f(j, listed ? batch.value[i] : T{0});
    if (listed) ++i;
  }
}

// Parameters: "embedding.weight" [vocabulary, dimension].
template <typename T>
class Embedding final : public InputLayers<T> {
 public:
  Embedding(int64_t features, int64_t vocabulary, int64_t dimension)
      : InputLayers<T>({.features = features,
                        .outputs = features * dimension,
                        .tensors = {{.name = "embedding.weight",
                                     .shape = {vocabulary, dimension}}},
                        .slots = kSlots,
                        .block_rows = kBlockRows}),
        vocabulary_(vocabulary),
        dimension_(dimension) {}

  // Standard normal, as PyTorch's Embedding.
  void Initialize(Rng& rng, absl::Span<T> w) const override {
    for (T& x : w.first(vocabulary_ * dimension_)) {
      x = static_cast<T>(rng.Normal());
    }
  }

  absl::Status CheckInputs(const Batch<T>& batch) const override {
    for (int64_t r = 0; r < batch.rows; ++r) {
      absl::Status status;
      ForIndices(batch, r, [&](int64_t j, T x) {
        if (IsIndex(x) || !status.ok()) return;
        status = absl::InvalidArgumentError(absl::StrCat(
            "feature ", j + 1, " of a row is ", x,
            ": embedding_mlp takes symbols, whole numbers from 0 to ",
            vocabulary_ - 1, ", as its vocabulary is ", vocabulary_));
      });
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  const T* Forward(absl::Span<const T> w, const Batch<T>& block,
                   Workspace<T>& workspace) const override {
    return LookUp(w, block, kOutputs, workspace);
  }
  const T* ForwardAlong(absl::Span<const T>, absl::Span<const T> v,
                        const Batch<T>& block,
                        Workspace<T>& workspace) const override {
    return LookUp(v, block, kOutputsAlong, workspace);
  }
  void Backward(absl::Span<const T>, const Batch<T>& block, const T* delta,
                absl::Span<T> gradient, Workspace<T>&) const override {
    const Kernels<T>& k = KernelsFor<T>();
    for (int64_t r = 0; r < block.rows; ++r) {
      ForIndices(block, r, [&](int64_t, T x) {
        k.axpy(dimension_, T{1}, delta, &gradient[Row(x)]);
        delta += dimension_;
      });
    }
  }
  // The gradient is linear in delta, and in nothing else that moves.
  void BackwardAlong(absl::Span<const T> w, absl::Span<const T>,
                     const Batch<T>& block, const T*, const T* delta_along,
                     absl::Span<T> gradient_along,
                     Workspace<T>& workspace) const override {
    Backward(w, block, delta_along, gradient_along, workspace);
  }

 private:
  bool IsIndex(T x) const {
    return x >= 0 && x < static_cast<T>(vocabulary_) && x == std::floor(x);
  }
  // Where its vector starts in the parameters.
  int64_t Row(T x) const {
    PARLEY_CHECK(IsIndex(x));  // CheckInputs saw to it
    return static_cast<int64_t>(x) * dimension_;
  }
  T* LookUp(absl::Span<const T> table, const Batch<T>& block, Slot slot,
            Workspace<T>& workspace) const {
    T* const outputs = workspace.Get(slot, block.rows * this->shape().outputs);
    T* to = outputs;
    for (int64_t r = 0; r < block.rows; ++r) {
      ForIndices(block, r, [&](int64_t, T x) {
        to = std::copy_n(&table[Row(x)], dimension_, to);
      });
    }
    return outputs;
  }

  const int64_t vocabulary_, dimension_;
};

}  // namespace

template <typename T>
ModelOr<T> MakeEmbeddingMlp(const ModelOptions& options) {
  if (options.classes < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "embedding_mlp needs at least 2 classes, not ", options.classes));
  }
  if (options.vocabulary < 1 || options.vocabulary > kMaxVocabulary) {
    return absl::InvalidArgumentError(
        absl::StrCat("the vocabulary of embedding_mlp is 1 to ", kMaxVocabulary,
                     " symbols, not ", options.vocabulary));
  }
  if (options.dimension < 1 || options.dimension > kMaxDimension) {
    return absl::InvalidArgumentError(
        absl::StrCat("the dimension of embedding_mlp is 1 to ", kMaxDimension,
                     ", not ", options.dimension));
  }
  auto embedding = std::make_unique<Embedding<T>>(
      options.features, options.vocabulary, options.dimension);
  NetworkOptions network = {.widths = {embedding->shape().outputs}};
  PARLEY_RETURN_IF_ERROR(
      AddLayers(options.hidden, options.classes, options.activation, &network));
  return MakeNetwork<T>(std::move(network), std::move(embedding));
}

template ModelOr<float> MakeEmbeddingMlp(const ModelOptions&);
template ModelOr<double> MakeEmbeddingMlp(const ModelOptions&);

}  // namespace parley
