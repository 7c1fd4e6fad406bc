// The makers in the table of models: one a file in this folder. Each checks the
// options that concern it; `features` is checked already.
#ifndef PARLEY_COMMON_MODEL_MODELS_MODELS_H_
#define PARLEY_COMMON_MODEL_MODELS_MODELS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/model/model.h"

namespace parley {

template <typename T>
using ModelOr = absl::StatusOr<std::unique_ptr<Model<T>>>;

template <typename T>
ModelOr<T> MakeLinearRegression(const ModelOptions& options);
template <typename T>
ModelOr<T> MakeLogistic(const ModelOptions& options);
template <typename T>
ModelOr<T> MakeSoftmax(const ModelOptions& options);
template <typename T>
ModelOr<T> MakeMlp(const ModelOptions& options);
template <typename T>
ModelOr<T> MakeCnn(const ModelOptions& options);
template <typename T>
ModelOr<T> MakeEmbeddingMlp(const ModelOptions& options);

}  // namespace parley

#endif  // PARLEY_COMMON_MODEL_MODELS_MODELS_H_
