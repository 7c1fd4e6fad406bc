#include "common/config/build.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/own_data.h"

namespace parley {
namespace {

PartitionOptions PartitionOptionsOf(const v1::Partition& partition) {
  PartitionOptions options;
  options.parts = partition.parts();
  switch (partition.kind_case()) {
    case v1::Partition::kDirichlet:
      options.kind = DirichletPartition{partition.dirichlet().alpha(),
                                        partition.dirichlet().min_rows()};
      break;
    case v1::Partition::kShards:
      options.kind = ShardPartition{partition.shards().per_part()};
      break;
    case v1::Partition::kPowerLaw:
      options.kind = PowerLawPartition{partition.power_law().exponent()};
      break;
    case v1::Partition::kIndexFile:
      options.kind = IndexFilePartition{partition.index_file().path()};
      break;
    case v1::Partition::kByColumn:
      options.kind = GroupPartition{};
      break;
    case v1::Partition::kFeatureShift:
      options.kind =
          FeatureShiftPartition{partition.feature_shift().strength(), {}};
      break;
    case v1::Partition::kIid:
    case v1::Partition::KIND_NOT_SET:
      options.kind = IidPartition{};
      break;
  }
  return options;
}

struct Planned {
  DataPlan plan;
  PlannedData data;
};

absl::StatusOr<Planned> PlanTrain(const v1::RunConfig& config) {
  PARLEY_ASSIGN_OR_RETURN(DataPlan plan, DataPlanOf(config));
  PARLEY_RETURN_IF_ERROR(CheckImages(config, plan.source));
  PARLEY_ASSIGN_OR_RETURN(PlannedData data,
                          PlanData(plan, TargetKindOf(config.model())));
  PARLEY_RETURN_IF_ERROR(
      CheckFacts(config, data.features, data.classes.classes()));
  const int64_t parts = static_cast<int64_t>(data.partition.size());
  if (parts != config.data().partition().parts()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.train has ", parts,
                     " parts, but the run's data.partition.parts "
                     "is ",
                     config.data().partition().parts()));
  }
  return Planned{std::move(plan), std::move(data)};
}

const char* ActivationName(v1::Mlp::Activation activation) {
  return activation == v1::Mlp::TANH ? "tanh" : "relu";
}

}  // namespace

DType DTypeOf(const v1::RunConfig& config) {
  return config.precision() == v1::FLOAT64 ? DType::kFloat64 : DType::kFloat32;
}

absl::StatusOr<ModelOptions> ModelOptionsOf(const v1::RunConfig& config,
                                            const DataFacts& facts) {
  const v1::Model& model = config.model();
  ModelOptions options;
  options.features = facts.features;
  switch (model.kind_case()) {
    case v1::Model::kLinearRegression:
      options.kind = "linear_regression";
      options.bias = model.linear_regression().bias();
      break;
    case v1::Model::kLogistic:
      options.kind = "logistic";
      options.bias = model.logistic().bias();
      options.loss = model.logistic().loss() == v1::Logistic::EXPONENTIAL
                         ? "exponential"
                         : "logistic";
      break;
    case v1::Model::kSoftmax:
      options.kind = "softmax";
      options.bias = model.softmax().bias();
      options.classes = facts.classes;
      break;
    case v1::Model::kMlp:
      options.kind = "mlp";
      options.hidden = {model.mlp().hidden().begin(),
                        model.mlp().hidden().end()};
      options.activation = ActivationName(model.mlp().activation());
      if (model.mlp().loss() == v1::Mlp::SQUARED) {
        options.loss = "squared";
      } else {
        options.loss = "cross_entropy";
        options.classes = facts.classes;
      }
      break;
    case v1::Model::kCnn:
      if (facts.image.height == 0) {
        return absl::InvalidArgumentError(
            "the shape of the cnn's images is unknown: set model.cnn.channels, "
            "height and width, or a data.train that tells");
      }
      options.kind = "cnn";
      options.classes = facts.classes;
      options.hidden = {model.cnn().hidden().begin(),
                        model.cnn().hidden().end()};
      options.image_channels = facts.image.channels;
      options.image_height = facts.image.height;
      options.image_width = facts.image.width;
      for (const v1::Convolution& convolution : model.cnn().conv()) {
        options.convolutions.push_back({.channels = convolution.channels(),
                                        .kernel = convolution.kernel(),
                                        .padding = convolution.padding(),
                                        .pool = convolution.pool()});
      }
      break;
    case v1::Model::kEmbeddingMlp: {
      const v1::EmbeddingMlp& embedding = model.embedding_mlp();
      options.kind = "embedding_mlp";
      options.classes = facts.classes;
      options.hidden = {embedding.hidden().begin(), embedding.hidden().end()};
      options.activation = ActivationName(embedding.activation());
      options.vocabulary =
          embedding.has_vocabulary() ? embedding.vocabulary() : facts.classes;
      options.dimension = embedding.dimension();
      break;
    }
    case v1::Model::kCustom:
    case v1::Model::KIND_NOT_SET:
      return absl::InvalidArgumentError(
          "the model is custom: its clients' trainers make it, and its "
          "parameters are model.custom.spec");
  }
  if (options.features < 1) {
    return absl::InvalidArgumentError(
        "model.features is unknown: set it, or data.train");
  }
  if (TargetKindOf(model) == TargetKind::kClass && options.classes < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model needs 2 classes at least, and data.train has ",
                     options.classes, ": set model.classes, or other data"));
  }
  return options;
}

std::optional<ExactProxOptions> ExactProxOptionsOf(
    const v1::LocalAlgorithm& local) {
  if (!local.has_exact_prox()) return std::nullopt;
  return ExactProxOptions{.log_lambda = local.exact_prox().log_lambda()};
}

std::optional<MarginLoss> MarginLossOf(const v1::RunConfig& config) {
  const v1::Model& model = config.model();
  if (!model.has_logistic() || model.logistic().bias() ||
      config.precision() != v1::FLOAT64) {
    return std::nullopt;
  }
  return model.logistic().loss() == v1::Logistic::EXPONENTIAL
             ? MarginLoss::kExponential
             : MarginLoss::kLogistic;
}

LocalSolverOptions SolverOptionsOf(const v1::LocalAlgorithm& local) {
  LocalSolverOptions options;
  options.momentum = local.momentum();
  options.weight_decay = local.weight_decay();
  options.proximal = local.proximal();
  if (local.has_gd()) {
    options.full_batch = true;
    options.steps = local.gd().steps();
  } else {
    options.batch_size = local.sgd().batch_size();
    options.steps = local.sgd().steps();
    options.epochs = local.sgd().epochs();
  }
  return options;
}

double StepSizeOf(const v1::StepSize& step_size, int64_t round,
                  int64_t local_steps) {
  const int64_t t = round - 1;
  double eta = step_size.initial();
  if (step_size.has_over_steps() || step_size.has_loss_normalised()) {
    eta /= static_cast<double>(local_steps);
  } else if (step_size.has_over_rounds()) {
    eta /= 1 + static_cast<double>(t) / step_size.over_rounds().scale();
  } else if (step_size.has_step_decay()) {
    for (int64_t at : step_size.step_decay().at_rounds()) {
      if (at <= t) eta *= step_size.step_decay().factor();
    }
  }
  const int64_t warmup = step_size.warmup_rounds();
  if (t < warmup) {
    eta *= static_cast<double>(t + 1) / static_cast<double>(warmup + 1);
  }
  return eta;
}

absl::StatusOr<DataPlan> DataPlanOf(const v1::RunConfig& config) {
  if (!config.data().has_train()) {
    return absl::FailedPreconditionError(
        "the run file has no data.train: each client must name data of its "
        "own");
  }
  DataPlan plan;
  plan.source = SourceOf(config, config.data().train(), "train");
  plan.partition = PartitionOptionsOf(config.data().partition());
  plan.held_out = config.data().held_out();
  plan.seed = config.seed();
  return plan;
}

absl::StatusOr<LabelHistogram> CountLabelsOf(const v1::RunConfig& config) {
  PARLEY_ASSIGN_OR_RETURN(const Planned planned, PlanTrain(config));
  return CountLabels(planned.data.partition, planned.data.targets);
}

template <typename T>
absl::StatusOr<PartData<T>> LoadPart(const v1::RunConfig& config,
                                     int64_t part) {
  PARLEY_ASSIGN_OR_RETURN(const Planned planned, PlanTrain(config));
  const int64_t parts = static_cast<int64_t>(planned.data.partition.size());
  if (part < 0 || part >= parts) {
    return absl::OutOfRangeError(
        absl::StrCat("there is no part ", part, ": they are 0..", parts - 1));
  }
  return LoadPart<T>(planned.plan, planned.data, part);
}

template <typename T>
absl::StatusOr<Partitioned<T>> LoadAllParts(const v1::RunConfig& config,
                                            Executor* executor) {
  PARLEY_ASSIGN_OR_RETURN(const Planned planned, PlanTrain(config));
  return LoadAllParts<T>(planned.plan, planned.data, executor);
}

template <typename T>
absl::StatusOr<Dataset<T>> LoadTest(const v1::RunConfig& config) {
  if (!config.data().has_test()) {
    return absl::FailedPreconditionError("the run file has no data.test");
  }
  DataSource test = SourceOf(config, config.data().test(), "test");
  PARLEY_RETURN_IF_ERROR(CheckImages(config, test));
  if (config.data().has_train()) {
    PARLEY_ASSIGN_OR_RETURN(
        const SourceTargets train,
        LoadTargets(SourceOf(config, config.data().train(), "train")));
    PARLEY_ASSIGN_OR_RETURN(
        const TargetMap map,
        TargetMap::CreateFor(TargetKindOf(config.model()), train));
    return LoadTestSet<T>(std::move(test), train, map);
  }
  PARLEY_ASSIGN_OR_RETURN(const SourceTargets targets, LoadTargets(test));
  PARLEY_ASSIGN_OR_RETURN(const TargetMap map, MapOfOwn(config, test, targets));
  return LoadTestSet<T>(std::move(test), targets, map);
}

#define PARLEY_INSTANTIATE(T)                                                \
  template absl::StatusOr<PartData<T>> LoadPart(const v1::RunConfig&,        \
                                                int64_t);                    \
  template absl::StatusOr<Partitioned<T>> LoadAllParts(const v1::RunConfig&, \
                                                       Executor*);           \
  template absl::StatusOr<Dataset<T>> LoadTest(const v1::RunConfig&);
PARLEY_INSTANTIATE(float)
PARLEY_INSTANTIATE(double)
#undef PARLEY_INSTANTIATE

}  // namespace parley
