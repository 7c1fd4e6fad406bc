#include "common/config/facts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace parley {

TargetKind TargetKindOf(const v1::Model& model) {
  switch (model.kind_case()) {
    case v1::Model::kLogistic:
      return TargetKind::kSign;
    case v1::Model::kSoftmax:
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
      result.kind = IdxOptions{source.idx().images(), source.idx().labels()};
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

absl::StatusOr<DataFacts> ProbeData(const v1::RunConfig& config) {
  const v1::Model& model = config.model();
  DataFacts facts;
  facts.features = model.features();
  facts.classes = model.has_logistic() ? 2 : model.classes();
  if (!config.data().has_train()) return facts;

  PARLEY_ASSIGN_OR_RETURN(
      const SourceTargets targets,
      LoadTargets(SourceOf(config, config.data().train(), "train")));
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

}  // namespace parley
