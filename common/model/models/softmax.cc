// Multinomial logistic regression: cross-entropy over W·x + b.
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/model/models/models.h"
#include "common/model/models/network.h"

namespace parley {

template <typename T>
ModelOr<T> MakeSoftmax(const ModelOptions& options) {
  if (options.classes < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "softmax needs at least 2 classes, not ", options.classes));
  }
  return MakeNetwork<T>({.widths = {options.features, options.classes},
                         .prefixes = {""},
                         .bias = options.bias,
                         .zero_start = true});
}

template ModelOr<float> MakeSoftmax(const ModelOptions&);
template ModelOr<double> MakeSoftmax(const ModelOptions&);

}  // namespace parley
