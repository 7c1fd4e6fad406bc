#include "common/config/ranges.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/topology/topology.h"
#include "common/wire/protocol.h"

namespace parley {
namespace {

// No bound but that the number is finite.
constexpr double kAny = std::numeric_limits<double>::max();
constexpr double kMillion = 1e6;
constexpr double kBillion = 1e9;
constexpr double kSteps = 1e12;
constexpr double kColumns = std::numeric_limits<int32_t>::max();
constexpr double kClasses = 1 << 20;  // as TargetMap of common/data

constexpr Range Between(const char* field, double low, double high) {
  return {field, low, high};
}
constexpr Range AtLeast0(const char* field) { return {field, 0, kAny}; }
constexpr Range Above0(const char* field) { return {field, 0, kAny, true}; }
// 0 <= x < high.
constexpr Range Below(const char* field, double high) {
  return {field, 0, high, false, true};
}
constexpr Range Required(Range range) {
  range.required = true;
  return range;
}

constexpr Range kRanges[] = {
    Between("RunConfig.seed", 0, 18446744073709551615.0),

    Between("Model.features", 1, kColumns),
    Between("Model.classes", 2, kClasses),
    Between("Mlp.hidden", 1, 65536),
    Between("Cnn.hidden", 1, 65536),
    Between("Cnn.channels", 1, 65536),
    Between("Cnn.height", 1, 65536),
    Between("Cnn.width", 1, 65536),
    Required(Between("Convolution.channels", 1, 65536)),
    Between("Convolution.kernel", 1, 64),
    Between("Convolution.padding", 0, 63),
    Between("Convolution.pool", 1, 64),
    Between("EmbeddingMlp.vocabulary", 1, kClasses),
    Between("EmbeddingMlp.dimension", 1, 65536),
    Between("EmbeddingMlp.hidden", 1, 65536),
    Between("TensorSpec.shape", 0, 1099511627776.0),

    Below("Data.held_out", 1),
    Between("Libsvm.features", 1, kColumns),
    Between("Idx.only", 0, 255),
    Required(Between("SyntheticSeparable.rows", 1, kBillion)),
    Required(Between("SyntheticSeparable.features", 1, kColumns)),
    Above0("SyntheticSeparable.margin"),
    Required(Between("SyntheticMixture.rows", 1, kBillion)),
    Required(Between("SyntheticMixture.features", 1, kColumns)),
    Between("SyntheticMixture.classes", 2, 65536),
    AtLeast0("SyntheticMixture.separation"),
    AtLeast0("SyntheticMixture.noise"),
    Required(Between("SyntheticRegression.rows", 1, kBillion)),
    Required(Between("SyntheticRegression.features", 1, kColumns)),
    AtLeast0("SyntheticRegression.noise"),
    Between("Text.context", 1, 65536),
    Between("Text.stride", 1, kBillion),
    Between("Partition.parts", 1, kMillion),
    Required(Between("Dirichlet.alpha", 1e-6, kBillion)),
    Between("Dirichlet.min_rows", 1, kBillion),
    Between("Shards.per_part", 1, kMillion),
    Between("PowerLaw.exponent", 0, 100),
    Between("FeatureShift.strength", 0, 1),

    Below("LocalAlgorithm.momentum", 1),
    AtLeast0("LocalAlgorithm.weight_decay"),
    AtLeast0("LocalAlgorithm.proximal"),
    Between("Gd.steps", 1, kSteps),
    Between("Sgd.batch_size", 1, kBillion),
    Between("Sgd.steps", 1, kSteps),
    Above0("Sgd.epochs"),
    {"ExactProx.log_lambda", -1e12, 0, false, true},
    Required(Above0("StepSize.initial")),
    Between("StepSize.warmup_rounds", 0, kBillion),
    Above0("StepSize.OverRounds.scale"),
    Between("StepSize.StepDecay.at_rounds", 1, kBillion),
    {"StepSize.StepDecay.factor", 0, 1, true, true},

    Between("Gossip.average_every", 0, kBillion),
    Between("Gossip.edge_seconds", 0.1, 86400),
    Below("DSgd.momentum", 1),
    Below("DecentLam.momentum", 1),
    {"Choco.consensus_step", 0, 1, true},
    {"Choco.Share.share", 0, 1, true},
    Between("Topology.Grid.rows", 1, kMostPeers),
    Between("Topology.RandomRegular.degree", 1, 1000),
    Required({"Topology.ErdosRenyi.probability", 0, 1, true}),
    Between("Topology.SmallWorld.neighbours", 2, 1000),
    Between("Topology.SmallWorld.rewire", 0, 1),
    Between("Topology.Edge.a", 0, kMostPeers - 1),
    Between("Topology.Edge.b", 0, kMostPeers - 1),
    Between("Topology.BaseGraph.k", 1, 1000),
    Between("DirectionGap.per_decade", 1, 10000),

    Below("TrimmedMean.trim", 0.5),
    Above0("Plain.step_size"),
    Above0("ServerMomentum.step_size"),
    Below("ServerMomentum.momentum", 1),
    Above0("Adam.step_size"),
    Below("Adam.beta1", 1),
    Below("Adam.beta2", 1),
    Above0("Adam.epsilon"),
    {"Anchored.power", 0, 1, true},

    {"Cohort.fraction", 0, 1, true},
    Between("Cohort.min", 1, kMillion),
    Between("Cohort.max", 0, kMillion),
    Between("Cohort.over_selection", 0, 100),
    Between("Cohort.deadline_seconds", 0, kBillion),
    {"Cohort.quorum", 0, 1, true},
    Between("Evaluation.every", 0, kBillion),
    Required(Between("Stop.rounds", 1, kBillion)),
    Between("Stop.accuracy", 0, 1),
    Between("Stop.loss", -kAny, kAny),
    Between("Stop.wall_seconds", 0, kBillion),
    Between("RoundValue.initial", -kAny, kAny),
    Between("RoundValue.factor", -kAny, kAny),
    Between("Checkpoints.every", 0, kBillion),
    Between("Checkpoints.keep", 1, kMillion),
    Between("Limits.lease_seconds", 0.1, 86400),
    Between("Wire.inline_bytes", 0, kInlineBytes),
    Between("Limits.staging_bytes", 0, 1125899906842624.0),
    Between("Limits.staging_disk_bytes", 0, 1152921504606846976.0),
    Between("Limits.transfers", 1, 1024),
    Between("Limits.clients", 1, kMillion),
    Above0("Limits.max_weight"),

    Between("ImplicitBias.local_steps", 1, kSteps),
    Between("ImplicitBias.seed", 0, 18446744073709551615.0),
    Above0("ImplicitBias.StepRule.fixed"),
    Above0("ImplicitBias.StepRule.over_steps"),
    Between("ImplicitBias.Algorithm.rounds", 1, kBillion),
    Between("ImplicitBias.LocalSgd.batch_size", 1, kBillion),
    {"ImplicitBias.Ppm.log_lambda", -1e12, 0, false, true},
    {"ImplicitBias.ModifiedLocalGd.log_lambda", -1e12, 0, false, true},
    {"ImplicitBias.ModifiedLocalGd.power", 0, 1, true},
    Above0("ImplicitBias.LossNormalised.step_size"),
    {"ImplicitBias.OneShot.log_lambda", -1e12, 0, false, true},
    Above0("ImplicitBias.FedProx.mu"),
};

}  // namespace

bool Range::Holds(double x) const {
  return std::isfinite(x) && (low_open ? x > low : x >= low) &&
         (high_open ? x < high : x <= high);
}

std::string Range::ToString() const {
  if (low == -kAny && high == kAny) return "must be a finite number";
  const std::string from =
      absl::StrCat("must be ", low_open ? "> " : ">= ", FormatNumber(low));
  if (high == kAny) return from + " and finite";
  return absl::StrCat(from, " and ",
                      high_open ? "< " : "<= ", FormatNumber(high));
}

const Range* FindRange(const google::protobuf::FieldDescriptor& field) {
  const absl::string_view name =
      absl::StripPrefix(field.full_name(), field.file()->package() + ".");
  for (const Range& range : kRanges) {
    if (name == range.field) return &range;
  }
  return nullptr;
}

std::string FormatNumber(double x) {
  // Whole numbers in full, as far as they can be told apart.
  if (std::fabs(x) <= 9007199254740992.0 && x == std::floor(x)) {
    return absl::StrCat(static_cast<int64_t>(x));
  }
  return absl::StrCat(x);
}

}  // namespace parley
