#include "common/data/source.h"

#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace parley {

absl::StatusOr<SourceTargets> LoadTargets(const DataSource& source) {
  return std::visit(
      [&](const auto& options) -> absl::StatusOr<SourceTargets> {
        using O = std::decay_t<decltype(options)>;
        if constexpr (std::is_same_v<O, LibsvmOptions>) {
          return LoadLibsvmTargets(options);
        } else if constexpr (std::is_same_v<O, IdxOptions>) {
          return LoadIdxTargets(options);
        } else {
          return GenerateTargets(options, source.seed, source.split);
        }
      },
      source.kind);
}

absl::StatusOr<std::optional<ImageShape>> ImageShapeOf(
    const DataSource& source) {
  const auto* idx = std::get_if<IdxOptions>(&source.kind);
  if (idx == nullptr) return std::nullopt;
  return IdxImageShape(*idx);
}

template <typename T>
absl::StatusOr<Examples<T>> LoadRows(const DataSource& source,
                                     RowFilter filter) {
  return std::visit(
      [&](const auto& options) -> absl::StatusOr<Examples<T>> {
        using O = std::decay_t<decltype(options)>;
        if constexpr (std::is_same_v<O, LibsvmOptions>) {
          return LoadLibsvm<T>(options, filter);
        } else if constexpr (std::is_same_v<O, IdxOptions>) {
          return LoadIdx<T>(options, filter);
        } else {
          return Generate<T>(options, source.seed, source.split, filter);
        }
      },
      source.kind);
}

template <typename T>
absl::StatusOr<Dataset<T>> LoadTestSet(DataSource source, int64_t features,
                                       const TargetMap& classes) {
  if (auto* libsvm = std::get_if<LibsvmOptions>(&source.kind)) {
    if (libsvm->features == 0) libsvm->features = features;
  }
  PARLEY_ASSIGN_OR_RETURN(Examples<T> examples, LoadRows<T>(source));
  if (examples.features != features) {
    return absl::InvalidArgumentError(
        absl::StrCat("the test set has ", examples.features,
                     " features, the training set ", features));
  }
  if (absl::Status s = classes.Apply(absl::MakeSpan(examples.target));
      !s.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the test set: ", s.message()));
  }
  return Dataset<T>(std::move(examples));
}

template absl::StatusOr<Examples<float>> LoadRows(const DataSource&, RowFilter);
template absl::StatusOr<Examples<double>> LoadRows(const DataSource&,
                                                   RowFilter);
template absl::StatusOr<Dataset<float>> LoadTestSet(DataSource, int64_t,
                                                    const TargetMap&);
template absl::StatusOr<Dataset<double>> LoadTestSet(DataSource, int64_t,
                                                     const TargetMap&);

}  // namespace parley
