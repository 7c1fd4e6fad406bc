#include "common/config/defaults.h"

#include <fnmatch.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "common/wire/protocol.h"

// Sets an optional field of *message unless it has a value.
#define DEFAULT(message, field, value) \
  if (!(message)->has_##field()) (message)->set_##field(value)

// The same for an enum, whose 0 stands for none.
#define DEFAULT_ENUM(message, field, value) \
  if ((message)->field() == 0) (message)->set_##field(value)

namespace parley {
namespace {

v1::MergeRule MergeRuleOf(const v1::Custom& custom, const std::string& tensor) {
  for (const v1::MergeOf& merge : custom.merge()) {
    if (Matches(merge, tensor)) return merge.rule();
  }
  return v1::MEAN;
}

void FillModel(v1::DType precision, v1::Model* model) {
  switch (model->kind_case()) {
    case v1::Model::kLinearRegression:
      DEFAULT(model->mutable_linear_regression(), bias, true);
      break;
    case v1::Model::kLogistic:
      DEFAULT(model->mutable_logistic(), bias, true);
      DEFAULT_ENUM(model->mutable_logistic(), loss, v1::Logistic::LOGISTIC);
      break;
    case v1::Model::kSoftmax:
      DEFAULT(model->mutable_softmax(), bias, true);
      break;
    case v1::Model::kMlp:
      DEFAULT_ENUM(model->mutable_mlp(), activation, v1::Mlp::RELU);
      DEFAULT_ENUM(model->mutable_mlp(), loss, v1::Mlp::CROSS_ENTROPY);
      break;
    case v1::Model::kCnn:
      for (v1::Convolution& conv : *model->mutable_cnn()->mutable_conv()) {
        DEFAULT(&conv, kernel, 3);
        DEFAULT(&conv, padding, 0);
        DEFAULT(&conv, pool, 2);
      }
      if (const int64_t features = FeaturesOf(model->cnn()); features > 0) {
        DEFAULT(model, features, features);
      }
      break;
    case v1::Model::kEmbeddingMlp:
      DEFAULT(model->mutable_embedding_mlp(), dimension, 8);
      DEFAULT_ENUM(model->mutable_embedding_mlp(), activation, v1::Mlp::RELU);
      break;
    case v1::Model::kCustom:
      if (model->custom().has_spec()) {
        v1::ParameterSpec* spec = model->mutable_custom()->mutable_spec();
        DEFAULT_ENUM(spec, dtype, precision);
        for (v1::TensorSpec& tensor : *spec->mutable_tensors()) {
          DEFAULT_ENUM(&tensor, merge,
                       MergeRuleOf(model->custom(), tensor.name()));
        }
      }
      break;
    case v1::Model::KIND_NOT_SET:
      break;
  }
}

void FillSource(int32_t context, v1::Source* source) {
  switch (source->kind_case()) {
    case v1::Source::kSeparable:
      DEFAULT(source->mutable_separable(), margin, 0.1);
      break;
    case v1::Source::kMixture: {
      v1::SyntheticMixture* mixture = source->mutable_mixture();
      DEFAULT(mixture, classes, 2);
      DEFAULT(mixture, separation, 3);
      DEFAULT(mixture, noise, 1);
      break;
    }
    case v1::Source::kRegression:
      DEFAULT(source->mutable_regression(), noise, 0.1);
      break;
    case v1::Source::kText:
      DEFAULT(source->mutable_text(), context, context);
      DEFAULT(source->mutable_text(), stride, 1);
      break;
    case v1::Source::kLibsvm:
    case v1::Source::kIdx:
    case v1::Source::kCsv:
    case v1::Source::kCifar10:
    case v1::Source::KIND_NOT_SET:
      break;
  }
}

void FillPartition(v1::Partition* partition) {
  switch (partition->kind_case()) {
    case v1::Partition::kDirichlet:
      DEFAULT(partition->mutable_dirichlet(), min_rows, 1);
      break;
    case v1::Partition::kShards:
      DEFAULT(partition->mutable_shards(), per_part, 2);
      break;
    case v1::Partition::kPowerLaw:
      DEFAULT(partition->mutable_power_law(), exponent, 1);
      break;
    case v1::Partition::kFeatureShift:
      DEFAULT(partition->mutable_feature_shift(), strength, 1);
      break;
    case v1::Partition::KIND_NOT_SET:
      partition->mutable_iid();
      break;
    case v1::Partition::kIid:
    case v1::Partition::kIndexFile:
    case v1::Partition::kByColumn:
      break;
  }
  // LoadRun counts the parts that the data tells.
  if (!partition->has_index_file() && !partition->has_by_column()) {
    DEFAULT(partition, parts, 10);
  }
}

void FillLocal(v1::LocalAlgorithm* local) {
  if (local->has_gd()) DEFAULT(local->mutable_gd(), steps, 1);
  if (local->has_sgd()) {
    DEFAULT(local->mutable_sgd(), batch_size, 32);
    if (local->sgd().length_case() == v1::Sgd::LENGTH_NOT_SET) {
      local->mutable_sgd()->set_epochs(1);
    }
  }
  if (local->has_exact_prox()) {
    DEFAULT(local->mutable_exact_prox(), log_lambda, -100);
  }
  if (!local->has_step_size()) return;
  v1::StepSize* step_size = local->mutable_step_size();
  switch (step_size->schedule_case()) {
    case v1::StepSize::SCHEDULE_NOT_SET:
      step_size->mutable_constant();
      break;
    case v1::StepSize::kOverRounds:
      DEFAULT(step_size->mutable_over_rounds(), scale, 1);
      break;
    case v1::StepSize::kStepDecay:
      DEFAULT(step_size->mutable_step_decay(), factor, 0.1);
      break;
    case v1::StepSize::kConstant:
    case v1::StepSize::kOverSteps:
    case v1::StepSize::kLossNormalised:
      break;
  }
}

void FillTopology(v1::Topology* topology) {
  if (topology->kind_case() == v1::Topology::KIND_NOT_SET) {
    topology->mutable_one_peer_exponential();
  }
  if (topology->has_random_regular()) {
    DEFAULT(topology->mutable_random_regular(), degree, 3);
  }
  if (topology->has_small_world()) {
    DEFAULT(topology->mutable_small_world(), neighbours, 4);
    DEFAULT(topology->mutable_small_world(), rewire, 0.1);
  }
  if (topology->has_base()) DEFAULT(topology->mutable_base(), k, 1);
}

void FillAggregation(v1::Aggregation* aggregation) {
  if (aggregation->strategy_case() == v1::Aggregation::STRATEGY_NOT_SET) {
    aggregation->mutable_fed_avg();
  }
  if (aggregation->has_trimmed_mean()) {
    DEFAULT(aggregation->mutable_trimmed_mean(), trim, 0.1);
  }
  if (aggregation->optimizer_case() == v1::Aggregation::OPTIMIZER_NOT_SET) {
    aggregation->mutable_plain();
  }
  if (aggregation->has_plain()) {
    DEFAULT(aggregation->mutable_plain(), step_size, 1);
  }
  if (aggregation->has_momentum()) {
    DEFAULT(aggregation->mutable_momentum(), step_size, 1);
    DEFAULT(aggregation->mutable_momentum(), momentum, 0.9);
  }
  if (aggregation->has_adam()) {
    v1::Adam* adam = aggregation->mutable_adam();
    DEFAULT(adam, step_size, 0.01);
    DEFAULT(adam, beta1, 0.9);
    DEFAULT(adam, beta2, 0.99);
    DEFAULT(adam, epsilon, 1e-3);
  }
  if (aggregation->has_anchored()) {
    DEFAULT(aggregation->mutable_anchored(), power, 1);
  }
}

void FillCohort(v1::RunConfig* config) {
  v1::Cohort* cohort = config->mutable_cohort();
  DEFAULT(cohort, fraction, 1);
  if (config->data().has_train() && config->data().partition().has_parts()) {
    // A number of parts that is out of range is no cohort's fault.
    DEFAULT(cohort, min,
            std::clamp(config->data().partition().parts(), 1, 1'000'000));
  }
  DEFAULT(cohort, quorum, 1);
  DEFAULT_ENUM(cohort, too_few, v1::Cohort::WAIT);
}

void FillRounds(v1::RunConfig* config) {
  const bool custom = config->model().has_custom();
  v1::Evaluation* evaluation = config->mutable_evaluation();
  DEFAULT(evaluation, every, 1);
  DEFAULT(evaluation, central, config->data().has_test() && !custom);
  DEFAULT(evaluation, federated, config->data().held_out() > 0);

  if (config->start().kind_case() == v1::Start::KIND_NOT_SET) {
    if (custom) {
      config->mutable_start()->mutable_zeros();
    } else {
      config->mutable_start()->mutable_random();
    }
  }
  for (v1::RoundValue& value : *config->mutable_round_values()) {
    DEFAULT(&value, factor, 1);
  }
}

// What there is with a coordinator that aggregates.
void FillServer(v1::RunConfig* config) {
  const v1::Encoding encoding = config->precision() == v1::FLOAT64
                                    ? v1::ENCODING_FLOAT64
                                    : v1::ENCODING_FLOAT32;
  DEFAULT_ENUM(config->mutable_wire(), down, encoding);
  DEFAULT_ENUM(config->mutable_wire(), up, encoding);
  DEFAULT(config->mutable_wire(), inline_bytes, kInlineBytes);
  FillAggregation(config->mutable_aggregation());
  FillCohort(config);
  DEFAULT(config->mutable_checkpoints(), every, 10);
  DEFAULT(config->mutable_checkpoints(), keep, 2);
}

void FillGossip(v1::Gossip* gossip) {
  if (gossip->algorithm_case() == v1::Gossip::ALGORITHM_NOT_SET) {
    gossip->mutable_d_sgd();
  }
  if (gossip->has_d_sgd()) {
    DEFAULT_ENUM(gossip->mutable_d_sgd(), order,
                 v1::DSgd::ADAPT_WHILE_COMMUNICATING);
  }
  if (gossip->has_decent_lam()) {
    DEFAULT(gossip->mutable_decent_lam(), momentum, 0.9);
  }
  if (gossip->has_choco()) {
    v1::Choco* choco = gossip->mutable_choco();
    if (choco->compressor_case() == v1::Choco::COMPRESSOR_NOT_SET) {
      choco->mutable_bfloat16();
    }
    if (choco->has_top()) DEFAULT(choco->mutable_top(), share, 0.01);
    if (choco->has_random()) DEFAULT(choco->mutable_random(), share, 0.01);
    DEFAULT(choco, consensus_step, 1);
  }
  if (!gossip->has_exact_average()) FillTopology(gossip->mutable_topology());
  DEFAULT(gossip, edge_seconds, 15);
}

void FillDirectionGap(const v1::LocalAlgorithm& local, v1::DirectionGap* gap) {
  DEFAULT(gap, per_decade, 20);
  DEFAULT(gap, centralized,
          local.has_gd() && local.momentum() == 0 && local.weight_decay() == 0);
}

void FillLimits(int32_t parts, v1::Limits* limits) {
  DEFAULT(limits, lease_seconds, 15);
  DEFAULT(limits, staging_bytes, int64_t{64} << 20);
  DEFAULT(limits, staging_disk_bytes, int64_t{8} << 30);
  DEFAULT(limits, transfers, 4);
  // A number of parts that is out of range is no limit's fault.
  DEFAULT(limits, clients, std::clamp(parts, 10'000, 1'000'000));
  DEFAULT(limits, max_weight, 1e9);
}

}  // namespace

void FillDefaults(v1::RunConfig* config) {
  DEFAULT(config, seed, 1);
  DEFAULT_ENUM(config, precision, v1::FLOAT32);
  if (config->has_model()) {
    FillModel(config->precision(), config->mutable_model());
  }
  v1::Data* data = config->mutable_data();
  if (data->has_train()) {
    FillSource(16, data->mutable_train());
    FillPartition(data->mutable_partition());
  }
  if (data->has_test()) {
    const bool as_train = data->train().has_text();
    FillSource(as_train ? data->train().text().context() : 16,
               data->mutable_test());
  }
  if (config->has_local()) FillLocal(config->mutable_local());
  if (config->has_gossip()) {
    FillGossip(config->mutable_gossip());
  }
  if (!config->has_gossip()) FillServer(config);
  FillRounds(config);
  if (config->diagnostics().has_direction_gap()) {
    FillDirectionGap(config->local(),
                     config->mutable_diagnostics()->mutable_direction_gap());
  }
  FillLimits(data->partition().parts(), config->mutable_limits());
}

int64_t FeaturesOf(const v1::Cnn& cnn) {
  int64_t features = 1;
  for (const int64_t extent : {cnn.channels(), cnn.height(), cnn.width()}) {
    if (extent < 1) return 0;
    features *= extent;
    if (features > std::numeric_limits<int32_t>::max()) return 0;
  }
  return features;
}

bool Matches(const v1::MergeOf& merge, const std::string& tensor) {
  return fnmatch(merge.tensors().c_str(), tensor.c_str(), 0) == 0;
}

}  // namespace parley
