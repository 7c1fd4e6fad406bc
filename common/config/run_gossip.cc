#include "common/config/run_gossip.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/config/run_topology.h"

namespace parley {
namespace {

// Whether its edges have a direction, and whether they change from round to
// round.
bool IsDirected(const TopologyOptions& topology) {
  return topology.kind == "one_peer_exponential" ||
         topology.kind == "static_exponential" ||
         (topology.kind == "ring" && topology.directed);
}
bool Changes(const TopologyOptions& topology) {
  return topology.kind == "one_peer_exponential" ||
         topology.kind == "random_matching" || topology.kind == "base";
}

void SetChoco(const v1::Choco& choco, AlgorithmOptions* options) {
  options->kind = "choco";
  options->consensus_step = choco.consensus_step();
  switch (choco.compressor_case()) {
    case v1::Choco::kTop:
      options->compressor = "top";
      options->share = choco.top().share();
      break;
    case v1::Choco::kRandom:
      options->compressor = "random";
      options->share = choco.random().share();
      break;
    case v1::Choco::kInt8:
      options->compressor = "int8";
      break;
    case v1::Choco::kBfloat16:
    case v1::Choco::COMPRESSOR_NOT_SET:
      options->compressor = "bfloat16";
      break;
  }
}

void Refuse(bool there, const char* path, const char* why,
            Complaints& complaints) {
  if (there) {
    complaints.Conflict(path, absl::StrCat("must not be set with gossip", why));
  }
}

}  // namespace

AlgorithmTraits TraitsOf(const AlgorithmOptions& options) {
  AlgorithmTraits traits;
  if (options.kind == "d_sgd") {
    traits.trains_first = options.combine;
    if (options.momentum > 0) {
      traits.states = 1;
      traits.state_names = "velocity";
    }
  } else if (options.kind == "decent_lam") {
    traits.states = 1;
    traits.state_names = "momentum";
    traits.symmetric = true;
  } else if (options.kind == "gradient_tracking") {
    traits.states = 2;
    traits.state_names = "tracker, last change";
    traits.parts = 2;
    traits.symmetric = true;
  } else if (options.kind == "d2") {
    traits.states = 1;
    traits.state_names = "last model and change";
    traits.symmetric = traits.fixed = traits.lazy = true;
  } else if (options.kind == "choco") {
    traits.states = 1;
    traits.state_names = "public copy, difference to each neighbour's";
    traits.edge_states = true;
    traits.symmetric = traits.fixed = true;
  } else if (options.kind == "push_sum") {
    traits.flows = true;
  } else if (options.kind == "exact_average") {
    traits.averages = true;
  } else if (options.kind == "ad_psgd") {
    traits.states = 1;
    traits.state_names = "x where Δ began";
    traits.trains_first = false;
    traits.symmetric = traits.fixed = traits.pairs = true;
  }
  return traits;
}

AlgorithmOptions AlgorithmOptionsOf(const v1::RunConfig& config) {
  const v1::Gossip& gossip = config.gossip();
  AlgorithmOptions options;
  options.seed = config.seed();
  switch (gossip.algorithm_case()) {
    case v1::Gossip::kDecentLam:
      options.kind = "decent_lam";
      options.momentum = gossip.decent_lam().momentum();
      break;
    case v1::Gossip::kGradientTracking:
      options.kind = "gradient_tracking";
      break;
    case v1::Gossip::kD2:
      options.kind = "d2";
      break;
    case v1::Gossip::kPushSum:
      options.kind = "push_sum";
      break;
    case v1::Gossip::kExactAverage:
      options.kind = "exact_average";
      break;
    case v1::Gossip::kChoco:
      SetChoco(gossip.choco(), &options);
      break;
    case v1::Gossip::kAdPsgd:
      options.kind = "ad_psgd";
      break;
    case v1::Gossip::kDSgd:
    case v1::Gossip::ALGORITHM_NOT_SET:
      options.combine = gossip.d_sgd().order() == v1::DSgd::ADAPT_THEN_COMBINE;
      options.momentum = gossip.d_sgd().momentum();
      break;
  }
  return options;
}

TopologyOptions GossipTopologyOf(const v1::RunConfig& config) {
  TopologyOptions topology = TopologyOptionsOf(config.gossip().topology());
  topology.lazy = TraitsOf(AlgorithmOptionsOf(config)).lazy;
  return topology;
}

int64_t PeerVectors(const AlgorithmTraits& traits, int64_t neighbours) {
  return 2 + traits.states + (traits.edge_states ? neighbours : 0) +
         3 * traits.parts;
}

int64_t SentNumbers(const AlgorithmOptions& options, int64_t elements) {
  const double count = std::ceil(options.share * static_cast<double>(elements));
  return std::clamp<int64_t>(static_cast<int64_t>(count),
                             std::min<int64_t>(1, elements), elements);
}

int64_t CompressedBytes(const AlgorithmOptions& options, int64_t size,
                        int64_t elements) {
  if (options.compressor == "bfloat16") return 2 * elements;
  if (options.compressor == "int8") {
    return elements + 4 * ((elements + kInt8Block - 1) / kInt8Block);
  }
  return SentNumbers(options, elements) *
         (size + (options.compressor == "top" ? 4 : 0));
}

void CheckGossipRules(const v1::RunConfig& config, Complaints& complaints) {
  if (!config.has_gossip()) return;
  const v1::Gossip& gossip = config.gossip();
  const AlgorithmOptions algorithm = AlgorithmOptionsOf(config);
  if (gossip.has_choco() && gossip.average_every() > 0) {
    complaints.Conflict("gossip.average_every",
                        "must not be set with choco, whose peers follow each "
                        "other by what they exchange");
  }
  if (gossip.has_ad_psgd() && gossip.average_every() > 0) {
    complaints.Conflict("gossip.average_every",
                        "must not be set with ad_psgd, whose peers have no "
                        "rounds in common");
  }
  const AlgorithmTraits traits = TraitsOf(algorithm);
  const TopologyOptions topology = TopologyOptionsOf(gossip.topology());
  if (traits.averages) {
    if (gossip.has_topology()) {
      complaints.Conflict("gossip.topology",
                          "must not be set with exact_average, which goes "
                          "along a ring of all peers");
    }
    if (gossip.average_every() > 0) {
      complaints.Conflict("gossip.average_every",
                          "must not be set with exact_average, which averages "
                          "in every round");
    }
  } else if (traits.symmetric && IsDirected(topology)) {
    complaints.Conflict(
        "gossip.topology",
        absl::StrCat("is ", topology.directed ? "directed " : "", topology.kind,
                     ": must have no directed edges with ", algorithm.kind,
                     ", as ring and base have none"));
  } else if (traits.fixed && Changes(topology)) {
    complaints.Conflict("gossip.topology",
                        absl::StrCat("is ", topology.kind,
                                     ": must be the same in all rounds with ",
                                     algorithm.kind, ", as ring is"));
  }

  Refuse(config.has_aggregation(), "aggregation",
         ": there is no server that aggregates", complaints);
  Refuse(config.has_cohort(), "cohort", ": all peers take part", complaints);
  Refuse(config.has_wire(), "wire", ": peers send what they compute with",
         complaints);
  Refuse(config.has_checkpoints(), "checkpoints", "", complaints);
  Refuse(config.has_diagnostics(), "diagnostics",
         ": the coordinator measures them", complaints);
  Refuse(!config.round_values().empty(), "round_values",
         ": there is no server that sends them", complaints);
  Refuse(config.local().step_size().has_loss_normalised(),
         "local.step_size.loss_normalised", ": no peer knows the loss of all",
         complaints);
  Refuse(config.evaluation().federated(), "evaluation.federated", "",
         complaints);
  Refuse(config.data().held_out() > 0, "data.held_out",
         ": nothing is evaluated on it", complaints);
  Refuse(config.stop().has_accuracy(), "stop.accuracy",
         ": its runs end after stop.rounds", complaints);
  Refuse(config.stop().has_loss(), "stop.loss",
         ": its runs end after stop.rounds", complaints);
  Refuse(config.stop().wall_seconds() > 0, "stop.wall_seconds",
         ": its runs end after stop.rounds", complaints);
  for (const v1::TensorSpec& tensor :
       config.model().custom().spec().tensors()) {
    if (tensor.merge() == v1::MEAN) continue;
    complaints.Conflict(
        "model.custom.spec",
        absl::StrCat("has ", tensor.name(), ", merged by ",
                     v1::MergeRule_Name(tensor.merge()),
                     ": must be MEAN for all tensors with gossip"));
    break;
  }
}

}  // namespace parley
