#include "common/config/facts.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace parley {

TargetKind TargetKindOf(const v1::Model& model) {
  switch (model.kind_case()) {
    case v1::Model::kLogistic:
      return TargetKind::kSign;
    case v1::Model::kSoftmax:
    case v1::Model::kCnn:
    case v1::Model::kEmbeddingMlp:
      return TargetKind::kClass;
    case v1::Model::kMlp:
      return model.mlp().loss() == v1::Mlp::SQUARED ? TargetKind::kReal
                                                    : TargetKind::kClass;
    case v1::Model::kLinearRegression:
    case v1::Model::kCustom:
    case v1::Model::KIND_NOT_SET:
      return TargetKind::kReal;
  }
  return TargetKind::kReal;
}

DataSource SourceOf(const v1::RunConfig& config, const v1::Source& source,
                    const char* split) {
  DataSource result;
  result.seed = config.seed();
  result.split = split;
  switch (source.kind_case()) {
    case v1::Source::kLibsvm: {
      LibsvmOptions options;
      options.path = source.libsvm().path();
      options.features = source.libsvm().has_features()
                             ? source.libsvm().features()
                             : config.model().features();
      options.dense = source.libsvm().dense();
      result.kind = std::move(options);
      break;
    }
    case v1::Source::kIdx:
      result.kind =
          IdxOptions{source.idx().images(),
                     source.idx().labels(),
                     {source.idx().only().begin(), source.idx().only().end()}};
      break;
    case v1::Source::kSeparable:
      result.kind = SeparableOptions{source.separable().rows(),
                                     source.separable().features(),
                                     source.separable().margin()};
      break;
    case v1::Source::kMixture:
      result.kind = MixtureOptions{
          source.mixture().rows(), source.mixture().features(),
          source.mixture().classes(), source.mixture().separation(),
          source.mixture().noise()};
      break;
    case v1::Source::kRegression:
      result.kind = RegressionOptions{source.regression().rows(),
                                      source.regression().features(),
                                      source.regression().noise()};
      break;
    case v1::Source::kCsv: {
      CsvOptions options;
      options.path = source.csv().path();
      options.target = source.csv().target();
      options.ignore = {source.csv().ignore().begin(),
                        source.csv().ignore().end()};
      if (&source == &config.data().train()) {
        options.group = config.data().partition().by_column().column();
      }
      result.kind = std::move(options);
      break;
    }
    case v1::Source::kCifar10:
      result.kind = Cifar10Options{
          {source.cifar10().paths().begin(), source.cifar10().paths().end()}};
      break;
    case v1::Source::kText:
      result.kind =
          TextOptions{source.text().path(), source.text().context(),
                      source.text().stride(), source.text().alphabet()};
      break;
    case v1::Source::KIND_NOT_SET:
      break;  // refused by ValidateRun; the loader refuses its empty path
  }
  return result;
}

DataFacts StatedFacts(const v1::Model& model) {
  return {.features = model.features(),
          .classes = model.has_logistic() ? 2 : model.classes(),
          .image = {.channels = model.cnn().channels(),
                    .height = model.cnn().height(),
                    .width = model.cnn().width()}};
}

absl::StatusOr<DataFacts> ProbeData(const v1::RunConfig& config) {
  const v1::Model& model = config.model();
  DataFacts facts = StatedFacts(model);
  if (!config.data().has_train()) return facts;

  const DataSource train = SourceOf(config, config.data().train(), "train");
  PARLEY_RETURN_IF_ERROR(CheckImages(config, train));
  if (model.has_cnn()) {
    PARLEY_ASSIGN_OR_RETURN(const std::optional<ImageShape> image,
                            ImageShapeOf(train));
    if (image) facts.image = *image;
  }
  PARLEY_ASSIGN_OR_RETURN(const SourceTargets targets, LoadTargets(train));
  PARLEY_ASSIGN_OR_RETURN(const TargetMap map,
                          TargetMap::CreateFor(TargetKindOf(model), targets));
  PARLEY_RETURN_IF_ERROR(CheckFacts(config, targets.features, map.classes()));
  facts.features = targets.features;
  // The data may lack a class; the model still has an output for it.
  facts.classes = std::max(facts.classes, map.classes());
  facts.rows = static_cast<int64_t>(targets.values.size());
  facts.parts = config.data().partition().parts();
  return facts;
}

void StateFacts(const DataFacts& facts, v1::RunConfig* config) {
  if (config->model().has_custom()) return;
  if (facts.features > 0) config->mutable_model()->set_features(facts.features);
  if (facts.classes > 0) config->mutable_model()->set_classes(facts.classes);
  if (config->model().has_cnn() && facts.image.height > 0) {
    v1::Cnn* cnn = config->mutable_model()->mutable_cnn();
    cnn->set_channels(static_cast<int32_t>(facts.image.channels));
    cnn->set_height(static_cast<int32_t>(facts.image.height));
    cnn->set_width(static_cast<int32_t>(facts.image.width));
  }
}

absl::Status CheckFacts(const v1::RunConfig& config, int64_t features,
                        int64_t classes) {
  const v1::Model& model = config.model();
  if (model.has_features() && features != model.features()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the data has ", features,
        " features, but the run's model.features is ", model.features()));
  }
  if (model.has_classes() && classes > model.classes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the data has ", classes, " classes, but the run's model.classes is ",
        model.classes()));
  }
  return absl::OkStatus();
}

absl::Status CheckImages(const v1::RunConfig& config,
                         const DataSource& source) {
  const ImageShape stated = StatedFacts(config.model()).image;
  if (stated.height == 0) return absl::OkStatus();
  PARLEY_ASSIGN_OR_RETURN(const std::optional<ImageShape> image,
                          ImageShapeOf(source));
  if (!image || *image == stated) return absl::OkStatus();
  const auto print = [](const ImageShape& s) {
    return absl::StrCat(s.channels, " × ", s.height, " × ", s.width,
                        " (channels, height, width)");
  };
  return absl::InvalidArgumentError(
      absl::StrCat("the data's images are ", print(*image),
                   ", but the run's model.cnn takes ", print(stated)));
}

}  // namespace parley
