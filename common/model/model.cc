#include "common/model/model.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/model/models/models.h"

namespace parley {
namespace {

template <typename T>
struct Entry {
  const char* kind;
  ModelOr<T> (*make)(const ModelOptions&);
};

// A new model is one line here and one file in models/.
template <typename T>
constexpr Entry<T> kModels[] = {
    {"linear_regression", MakeLinearRegression<T>},
    {"logistic", MakeLogistic<T>},
    {"softmax", MakeSoftmax<T>},
    {"mlp", MakeMlp<T>},
    {"cnn", MakeCnn<T>},
    {"embedding_mlp", MakeEmbeddingMlp<T>},
};

}  // namespace

std::vector<std::string> ModelKinds() {
  std::vector<std::string> kinds;
  for (const Entry<double>& entry : kModels<double>) {
    kinds.push_back(entry.kind);
  }
  return kinds;
}

template <typename T>
absl::StatusOr<std::unique_ptr<Model<T>>> MakeModel(
    const ModelOptions& options) {
  if (options.features < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a model needs at least 1 feature, not ", options.features));
  }
  for (const Entry<T>& entry : kModels<T>) {
    if (options.kind == entry.kind) return entry.make(options);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown model '", options.kind, "'; known are ",
                   absl::StrJoin(ModelKinds(), ", ")));
}

template absl::StatusOr<std::unique_ptr<Model<float>>> MakeModel(
    const ModelOptions&);
template absl::StatusOr<std::unique_ptr<Model<double>>> MakeModel(
    const ModelOptions&);

}  // namespace parley
