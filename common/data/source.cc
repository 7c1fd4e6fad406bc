#include "common/data/source.h"

#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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
        } else if constexpr (std::is_same_v<O, CsvOptions>) {
          return LoadCsvTargets(options);
        } else if constexpr (std::is_same_v<O, Cifar10Options>) {
          return LoadCifar10Targets(options);
        } else if constexpr (std::is_same_v<O, TextOptions>) {
          return LoadTextTargets(options);
        } else {
          return GenerateTargets(options, source.seed, source.split);
        }
      },
      source.kind);
}

absl::StatusOr<std::optional<ImageShape>> ImageShapeOf(
    const DataSource& source) {
  if (std::holds_alternative<Cifar10Options>(source.kind)) return kCifar10Shape;
  const auto* idx = std::get_if<IdxOptions>(&source.kind);
  if (idx == nullptr) return std::nullopt;
  return IdxImageShape(*idx);
}

template <typename T>
absl::StatusOr<Examples<T>> LoadRows(const DataSource& source, RowFilter filter,
                                     Executor* executor) {
  return std::visit(
      [&](const auto& options) -> absl::StatusOr<Examples<T>> {
        using O = std::decay_t<decltype(options)>;
        if constexpr (std::is_same_v<O, LibsvmOptions>) {
          return LoadLibsvm<T>(options, filter);
        } else if constexpr (std::is_same_v<O, IdxOptions>) {
          return LoadIdx<T>(options, filter);
        } else if constexpr (std::is_same_v<O, CsvOptions>) {
          return LoadCsv<T>(options, filter);
        } else if constexpr (std::is_same_v<O, Cifar10Options>) {
          return LoadCifar10<T>(options, filter);
        } else if constexpr (std::is_same_v<O, TextOptions>) {
          return LoadText<T>(options, filter);
        } else {
          return Generate<T>(options, source.seed, source.split, filter,
                             executor);
        }
      },
      source.kind);
}

DataSource ReadLike(DataSource source, const SourceTargets& train) {
  if (auto* libsvm = std::get_if<LibsvmOptions>(&source.kind)) {
    if (libsvm->features == 0) libsvm->features = train.features;
  } else if (auto* csv = std::get_if<CsvOptions>(&source.kind)) {
    csv->columns = train.columns;
    csv->labels = train.labels;
  } else if (auto* text = std::get_if<TextOptions>(&source.kind)) {
    text->alphabet = absl::StrJoin(train.labels, "");
  }
  return source;
}

template <typename T>
absl::StatusOr<Dataset<T>> LoadTestSet(DataSource source,
                                       const SourceTargets& train,
                                       const TargetMap& classes) {
  PARLEY_ASSIGN_OR_RETURN(Examples<T> examples,
                          LoadRows<T>(ReadLike(std::move(source), train)));
  if (examples.features != train.features) {
    return absl::InvalidArgumentError(
        absl::StrCat("the test set has ", examples.features,
                     " features, the training set ", train.features));
  }
  if (absl::Status s = classes.Apply(absl::MakeSpan(examples.target));
      !s.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the test set: ", s.message()));
  }
  return Dataset<T>(std::move(examples));
}

template absl::StatusOr<Examples<float>> LoadRows(const DataSource&, RowFilter,
                                                  Executor*);
template absl::StatusOr<Examples<double>> LoadRows(const DataSource&, RowFilter,
                                                   Executor*);
template absl::StatusOr<Dataset<float>> LoadTestSet(DataSource,
                                                    const SourceTargets&,
                                                    const TargetMap&);
template absl::StatusOr<Dataset<double>> LoadTestSet(DataSource,
                                                     const SourceTargets&,
                                                     const TargetMap&);

}  // namespace parley
