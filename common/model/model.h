// What Parley trains: a differentiable mean loss over a batch of examples.
#ifndef PARLEY_COMMON_MODEL_MODEL_H_
#define PARLEY_COMMON_MODEL_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/random.h"
#include "common/model/batch.h"
#include "common/model/parameters.h"

namespace parley {

// What the labels of a data set are; a model says which it can take.
enum class TargetKind { kReal, kSign, kClass };

// Sums over the examples evaluated, so that parts can be added up.
struct EvalSums {
  double examples = 0;
  double loss = 0;     // sum of the losses
  double correct = 0;  // examples classified correctly; 0 for regression

  void Add(const EvalSums& other) {
    examples += other.examples;
    loss += other.loss;
    correct += other.correct;
  }
};

// Scratch memory of one thread, grown as needed and reused between calls.
template <typename T>
class Workspace {
 public:
  // At least n elements for slot `slot`, contents unspecified; valid until the
  // next Get of the same slot.
  T* Get(size_t slot, int64_t n) {
    if (slot >= buffers_.size()) buffers_.resize(slot + 1);
    if (static_cast<int64_t>(buffers_[slot].elements()) < n) {
      buffers_[slot] = ParameterVector(DTypeOf<T>(), n);
    }
    return buffers_[slot].template As<T>().data();
  }

 private:
  std::vector<ParameterVector> buffers_;
};

// Immutable and thread-safe: all state is in the arguments. T is float or
// double. `w` holds spec().elements() parameters; a batch has features()
// columns.
template <typename T>
class Model {
 public:
  virtual ~Model() = default;

  virtual const ParameterSpec& spec() const = 0;
  virtual int64_t features() const = 0;
  virtual TargetKind target_kind() const = 0;

  // The usual starting point, e.g. Glorot or He for an MLP, zeros for convex
  // models.
  virtual void Initialize(Rng& rng, absl::Span<T> w) const = 0;

  // Returns the mean loss over the batch and writes its gradient. rows > 0.
  virtual double LossAndGradient(absl::Span<const T> w, const Batch<T>& batch,
                                 absl::Span<T> gradient,
                                 Workspace<T>& workspace) const = 0;

  // out = H·v, H the Hessian of the mean loss over the batch at w. Where the
  // loss has kinks (ReLU) it is that of the piece that w lies in.
  virtual void HessianVectorProduct(absl::Span<const T> w,
                                    absl::Span<const T> v,
                                    const Batch<T>& batch, absl::Span<T> out,
                                    Workspace<T>& workspace) const = 0;

  virtual EvalSums Evaluate(absl::Span<const T> w, const Batch<T>& batch,
                            Workspace<T>& workspace) const = 0;

  // InvalidArgument where a row has features that the model cannot take. To be
  // asked once of the rows that a client or a user brings: the methods above
  // take them as checked.
  virtual absl::Status CheckInputs(const Batch<T>&) const {
    return absl::OkStatus();
  }
};

// A convolution with stride 1 and its max-pooling.
struct ConvolutionOptions {
  int64_t channels = 0;  // that it makes
  int64_t kernel = 3;    // side of the window
  int64_t padding = 0;   // zeros on each side of its input; < kernel
  int64_t pool = 2;      // side of the squares; 1: none
};

// What a model is made from; which fields count depends on `kind`.
struct ModelOptions {
  // "linear_regression", "logistic", "softmax", "mlp", "cnn", "embedding_mlp".
  std::string kind;
  int64_t features = 0;
  int64_t classes = 0;  // all but the first two, and an mlp with squared loss
  bool bias = true;     // of the first three; layers always have one
  // Empty is the first. logistic: "logistic", "exponential"; mlp:
  // "cross_entropy", "squared" (½(z − t)² of one output).
  std::string loss = {};
  std::vector<int64_t> hidden = {};  // mlp, cnn, embedding_mlp
  // mlp, embedding_mlp: "relu", "tanh"; empty is the first.
  std::string activation = {};

  // cnn: what it does to an image of so many channels (planes) of
  // height×width; features is their product.
  std::vector<ConvolutionOptions> convolutions = {};
  int64_t image_channels = 0;
  int64_t image_height = 0;
  int64_t image_width = 0;

  // embedding_mlp: every feature is a whole number from 0 to vocabulary − 1,
  // which becomes a vector of so many numbers.
  int64_t vocabulary = 0;
  int64_t dimension = 0;
};

// The names in the table of models, for error messages and tests.
std::vector<std::string> ModelKinds();

// InvalidArgument: an unknown kind (the known ones are listed) or an option out
// of range.
template <typename T>
absl::StatusOr<std::unique_ptr<Model<T>>> MakeModel(
    const ModelOptions& options);
extern template absl::StatusOr<std::unique_ptr<Model<float>>> MakeModel(
    const ModelOptions&);
extern template absl::StatusOr<std::unique_ptr<Model<double>>> MakeModel(
    const ModelOptions&);

}  // namespace parley

#endif  // PARLEY_COMMON_MODEL_MODEL_H_
