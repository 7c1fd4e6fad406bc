#include "common/config/explain.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/config/build.h"
#include "common/config/load.h"
#include "common/config/run_gossip.h"
#include "common/topology/schedule.h"

namespace parley {
namespace {

constexpr int64_t kKiB = 1 << 10;
constexpr int64_t kMiB = 1 << 20;
// It depends on the kind of layers.
constexpr char kNotCounted[] =
    "; not counted: what the model's layers compute of a batch";

// Sums and products of numbers >= 0 that stay at the highest there is.
constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();
int64_t Plus(int64_t a, int64_t b) {
  return __builtin_add_overflow(a, b, &a) ? kHighest : a;
}
int64_t Times(int64_t a, int64_t b) {
  return __builtin_mul_overflow(a, b, &a) ? kHighest : a;
}

// Parameters that travel, and those that do not.
struct ParameterCount {
  int64_t all = 0;
  int64_t travelling = 0;
};

template <typename T>
absl::StatusOr<int64_t> CountOfBuiltin(const ModelOptions& options) {
  PARLEY_ASSIGN_OR_RETURN(const std::unique_ptr<Model<T>> model,
                          MakeModel<T>(options));
  return model->spec().elements();
}

absl::StatusOr<ParameterCount> CountParameters(const v1::RunConfig& config,
                                               const DataFacts& facts) {
  ParameterCount count;
  if (config.model().has_custom()) {
    for (const v1::TensorSpec& tensor :
         config.model().custom().spec().tensors()) {
      int64_t elements = 1;
      for (int64_t extent : tensor.shape()) elements = Times(elements, extent);
      count.all = Plus(count.all, elements);
      if (tensor.merge() != v1::LOCAL) {
        count.travelling = Plus(count.travelling, elements);
      }
    }
    return count;
  }
  PARLEY_ASSIGN_OR_RETURN(const ModelOptions options,
                          ModelOptionsOf(config, facts));
  PARLEY_ASSIGN_OR_RETURN(count.all, config.precision() == v1::FLOAT64
                                         ? CountOfBuiltin<double>(options)
                                         : CountOfBuiltin<float>(options));
  count.travelling = count.all;
  return count;
}

// What the server optimizer keeps, in models.
int64_t OptimizerVectors(const v1::RunConfig& config) {
  switch (config.aggregation().optimizer_case()) {
    case v1::Aggregation::kMomentum:
    case v1::Aggregation::kAnchored:
      return 1;
    case v1::Aggregation::kAdam:
      return 2;
    default:
      return 0;
  }
}

int64_t EncodedSize(v1::Encoding encoding) {
  switch (encoding) {
    case v1::ENCODING_FLOAT64:
      return 8;
    case v1::ENCODING_BFLOAT16:
      return 2;
    default:
      return 4;
  }
}

// The memory of a whole source.
absl::StatusOr<int64_t> SourceBytes(const v1::RunConfig& config,
                                    const DataSource& from) {
  const bool wide = config.precision() == v1::FLOAT64;
  const auto* libsvm = std::get_if<LibsvmOptions>(&from.kind);
  if (libsvm != nullptr && !libsvm->dense) {
    if (wide) {
      PARLEY_ASSIGN_OR_RETURN(Examples<double> rows, LoadRows<double>(from));
      return Dataset<double>(std::move(rows)).memory_bytes();
    }
    PARLEY_ASSIGN_OR_RETURN(Examples<float> rows, LoadRows<float>(from));
    return Dataset<float>(std::move(rows)).memory_bytes();
  }
  PARLEY_ASSIGN_OR_RETURN(const SourceTargets targets, LoadTargets(from));
  return Times(static_cast<int64_t>(targets.values.size()),
               (targets.features + 1) * (wide ? 8 : 4));
}

// Rounds 1..rounds that are followed by an evaluation.
int64_t CountEvaluations(int64_t rounds, int64_t every) {
  if (every == 0) return 1;
  return rounds / every + (rounds % every == 0 ? 0 : 1);
}

// Of products such as 0.1 · 30, which is a little more than 3.
int64_t Ceil(double x) { return static_cast<int64_t>(std::ceil(x - 1e-9)); }

void CountClients(const v1::RunConfig& config, RunCosts* costs) {
  const v1::Cohort& cohort = config.cohort();
  costs->clients = config.data().has_train() ? config.data().partition().parts()
                                             : cohort.min();
  costs->needed = std::max<int64_t>(
      1, Ceil(cohort.fraction() * static_cast<double>(costs->clients)));
  if (cohort.max() > 0) {
    costs->needed = std::min<int64_t>(costs->needed, cohort.max());
  }
  costs->asked = std::min(
      costs->clients,
      Ceil(static_cast<double>(costs->needed) * (1 + cohort.over_selection())));
}

// Of how many rounds of a schedule that never repeats itself payloads are
// counted.
constexpr int64_t kCountedRounds = 16;

// Payloads that a peer sends in a round, averaged over peers and rounds.
double MeanDegree(const Schedule& schedule) {
  const int64_t rounds =
      schedule.period() > 0 ? schedule.period() : kCountedRounds;
  int64_t payloads = 0;
  for (int64_t round = 0; round < rounds; ++round) {
    for (int64_t peer = 0; peer < schedule.peers(); ++peer) {
      for (const PeerWeight& to : schedule.Row(round, peer).out) {
        payloads += to.peer != peer && to.weight != 0 ? 1 : 0;
      }
    }
  }
  return static_cast<double>(payloads) /
         static_cast<double>(rounds * schedule.peers());
}

// Models that local steps hold beside the parameters, in a peer: the gradient,
// with momentum the velocity, with a proximal term what the round began with.
int64_t StepVectors(const v1::LocalAlgorithm& local) {
  return 1 + (local.momentum() > 0 ? 1 : 0) + (local.proximal() > 0 ? 1 : 0);
}

// Of `count` places that are drawn (Rng::Sample): they, and a hash table of 17
// bytes a slot, which is rebuilt as it grows.
int64_t DrawnBytes(int64_t count) {
  const auto slots =
      static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(count)) * 2);
  return Plus(Times(count, 8), Times(slots, 17) * 3 / 4);
}

// What choco shortens: two payloads that it made, the last one and this
// round's, one that arrives, and two that the heap may keep. `top` also sorts
// the places of all numbers, `random` draws its own and those of what arrives.
int64_t CompressionBytes(const AlgorithmOptions& options, int64_t payload_bytes,
                         int64_t elements) {
  if (options.kind != "choco") return 0;
  int64_t places = 0;
  if (options.compressor == "top") places = Times(elements, 4);
  if (options.compressor == "random") {
    places = Times(DrawnBytes(SentNumbers(options, elements)), 2);
  }
  return Plus(Times(payload_bytes, 5), places);
}

int64_t MostNeighbours(const Schedule& schedule) {
  size_t most = 1;
  for (int64_t peer = 0; peer < schedule.peers(); ++peer) {
    most = std::max(most, schedule.Row(0, peer).in.size());
  }
  return static_cast<int64_t>(most) - 1;
}

absl::Status CountGossip(const v1::RunConfig& config, int64_t model_bytes,
                         RunCosts* costs) {
  if (config.data().partition().parts() == 0) {
    return absl::InvalidArgumentError(
        "how many peers will there be? data.partition.parts says so");
  }
  const AlgorithmTraits traits = TraitsOf(AlgorithmOptionsOf(config));
  costs->gossip = true;
  costs->clients = config.data().partition().parts();
  PARLEY_ASSIGN_OR_RETURN(
      const std::unique_ptr<const Schedule> schedule,
      Schedule::Create(GossipTopologyOf(config),
                       {.seed = config.seed(), .peers = costs->clients}));
  const double m = static_cast<double>(costs->clients);
  const double ring = 2 * (m - 1) / m;  // models, of a ring all-reduce
  const double share =
      traits.averages ? 1
      : config.gossip().average_every() > 0
          ? 1 / static_cast<double>(config.gossip().average_every())
          : 0;
  const AlgorithmOptions algorithm = AlgorithmOptionsOf(config);
  const int64_t size = config.precision() == v1::FLOAT64 ? 8 : 4;
  costs->payload_bytes =
      algorithm.kind == "choco"
          ? CompressedBytes(algorithm, size, model_bytes / size)
          : Times(model_bytes, traits.parts);
  // Of pairs: an exchange of its own in each step, and as many of others'.
  const double gossip =
      traits.pairs ? std::min(2.0, 2 * (m - 1)) : MeanDegree(*schedule);
  costs->payloads_per_peer = share * ring + (1 - share) * gossip;
  costs->bytes_per_peer = static_cast<int64_t>(
      costs->payloads_per_peer * static_cast<double>(costs->payload_bytes));
  costs->bytes_in_all = Times(Times(costs->bytes_per_peer, costs->clients),
                              config.stop().rounds());
  costs->peer_vectors = PeerVectors(traits, MostNeighbours(*schedule)) +
                        StepVectors(config.local()) +
                        (config.evaluation().central() ? 1 : 0);
  costs->client_memory = Plus(
      Times(model_bytes, costs->peer_vectors),
      CompressionBytes(algorithm, costs->payload_bytes, model_bytes / size));
  costs->doubt_memory = Times(model_bytes, traits.parts);
  const bool begins_empty = traits.flows || !schedule->symmetric();
  costs->copy_memory = begins_empty || traits.pairs ? 0 : model_bytes;
  return absl::OkStatus();
}

// Of data.train that a client has on average, and what it reads to find that.
absl::StatusOr<int64_t> PartBytes(const v1::RunConfig& config,
                                  const RunCosts& costs) {
  if (!config.data().has_train()) return 0;
  PARLEY_ASSIGN_OR_RETURN(
      const int64_t train,
      SourceBytes(config, SourceOf(config, config.data().train(), "train")));
  if (!config.data().partition().has_feature_shift()) {
    return train / costs.facts.parts;
  }
  // It reads all rows, in double.
  const int64_t doubles = config.precision() == v1::FLOAT64 ? 1 : 2;
  return Plus(train / costs.facts.parts, Times(train, doubles));
}

// Of data.test, as a central evaluation reads it.
absl::StatusOr<int64_t> TestBytes(const v1::RunConfig& config) {
  DataSource source = SourceOf(config, config.data().test(), "test");
  if (config.data().has_train()) {
    PARLEY_ASSIGN_OR_RETURN(
        const SourceTargets train,
        LoadTargets(SourceOf(config, config.data().train(), "train")));
    source = ReadLike(std::move(source), train);
  }
  return SourceBytes(config, source);
}

}  // namespace

absl::StatusOr<RunCosts> ComputeCosts(const v1::RunConfig& config) {
  RunCosts costs;
  PARLEY_ASSIGN_OR_RETURN(costs.facts, ProbeData(config));
  PARLEY_ASSIGN_OR_RETURN(const ParameterCount count,
                          CountParameters(config, costs.facts));
  costs.parameters = count.all;
  const int64_t size = config.precision() == v1::FLOAT64 ? 8 : 4;
  PARLEY_ASSIGN_OR_RETURN(const int64_t part, PartBytes(config, costs));
  if (config.has_gossip()) {
    PARLEY_RETURN_IF_ERROR(CountGossip(config, Times(count.all, size), &costs));
    costs.client_memory = Plus(costs.client_memory, part);
    if (config.evaluation().central()) {
      PARLEY_ASSIGN_OR_RETURN(const int64_t test, TestBytes(config));
      costs.client_memory = Plus(costs.client_memory, test);
    }
    return costs;
  }
  CountClients(config, &costs);

  costs.bytes_down_per_client =
      Times(count.travelling, EncodedSize(config.wire().down()));
  costs.bytes_up_per_client =
      Times(count.travelling, EncodedSize(config.wire().up()));
  costs.bytes_down_per_round = Times(costs.asked, costs.bytes_down_per_client);
  costs.bytes_up_per_round = Times(costs.asked, costs.bytes_up_per_client);
  const int64_t rounds = config.stop().rounds();
  costs.bytes_in_all =
      Times(rounds, Plus(costs.bytes_down_per_round, costs.bytes_up_per_round));
  if (config.evaluation().federated()) {
    costs.evaluation_bytes_down = costs.bytes_down_per_round;
    costs.bytes_in_all =
        Plus(costs.bytes_in_all,
             Times(CountEvaluations(rounds, config.evaluation().every()),
                   costs.evaluation_bytes_down));
  }

  const v1::Limits& limits = config.limits();
  costs.coordinator_memory =
      Plus(Times(count.travelling, size * (1 + OptimizerVectors(config)) + 8),
           limits.staging_bytes() + costs.clients * 128 * kKiB +
               2 * limits.transfers() * 4 * kMiB + 64 * kMiB);
  if (config.evaluation().central()) {
    PARLEY_ASSIGN_OR_RETURN(const int64_t test, TestBytes(config));
    costs.coordinator_memory = Plus(costs.coordinator_memory, test);
  }
  if (config.diagnostics().has_direction_gap()) {
    PARLEY_ASSIGN_OR_RETURN(
        const int64_t train,
        SourceBytes(config, SourceOf(config, config.data().train(), "train")));
    // All parts; the reference, drift and centralized descent, in models; and
    // Gram matrices, where rows are few.
    const int64_t few = std::min<int64_t>(costs.facts.rows, 2048);
    costs.coordinator_memory =
        Plus(costs.coordinator_memory,
             Plus(train, Plus(Times(count.travelling, 8 * 8),
                              Times(2 * 8, Times(few, few)))));
  }
  const int64_t vectors = 3 + (config.local().momentum() > 0 ? 1 : 0) +
                          (config.local().proximal() > 0 ? 1 : 0);
  costs.client_memory = Plus(Times(count.all, vectors * size), part);
  return costs;
}

std::string FormatBytes(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double x = static_cast<double>(bytes);
  size_t unit = 0;
  while (x >= 1024 && unit + 1 < std::size(kUnits)) {
    x /= 1024;
    ++unit;
  }
  return unit == 0 ? absl::StrCat(bytes, " B")
                   : absl::StrFormat("%.1f %s", x, kUnits[unit]);
}

std::string Explain(const v1::RunConfig& config, const RunCosts& costs) {
  std::string text = absl::StrCat("# The run with every default filled in.\n",
                                  PrintRun(config), "\n# What it costs:\n");
  const auto line = [&text](absl::string_view what, absl::string_view value) {
    absl::StrAppendFormat(&text, "#   %-28s%s\n", what, value);
  };
  if (costs.facts.rows > 0) {
    line("training data",
         absl::StrCat(costs.facts.rows, " rows, ", costs.facts.features,
                      " features",
                      costs.facts.classes > 0
                          ? absl::StrCat(", ", costs.facts.classes, " classes")
                          : "",
                      ", ", costs.facts.parts, " parts"));
  }
  line("parameters", absl::StrCat(costs.parameters));
  if (costs.gossip) {
    line("peers", absl::StrCat(costs.clients));
    line("a payload", FormatBytes(costs.payload_bytes));
    line("sent, a peer and round",
         absl::StrFormat("%s, %.3g payloads", FormatBytes(costs.bytes_per_peer),
                         costs.payloads_per_peer));
    line("sent by all, all rounds", FormatBytes(costs.bytes_in_all));
    line(
        "memory of a peer",
        absl::StrCat(FormatBytes(costs.client_memory), ", ", costs.peer_vectors,
                     " models and its rows, beside the program", kNotCounted));
    line("  more, an edge in doubt", FormatBytes(costs.doubt_memory));
    if (costs.copy_memory > 0) {
      line("  more, a peer that joins", FormatBytes(costs.copy_memory));
    }
    return text;
  }
  line("clients a round", absl::StrCat(costs.asked, " of ", costs.clients,
                                       " asked, ", costs.needed, " needed"));
  line("down, a client and task", FormatBytes(costs.bytes_down_per_client));
  line("up, a client and task", FormatBytes(costs.bytes_up_per_client));
  line("down, a round", FormatBytes(costs.bytes_down_per_round));
  line("up, a round", FormatBytes(costs.bytes_up_per_round));
  if (costs.evaluation_bytes_down > 0) {
    line("down, an evaluation", FormatBytes(costs.evaluation_bytes_down));
  }
  line("both ways, all rounds", FormatBytes(costs.bytes_in_all));
  line("memory of the coordinator", FormatBytes(costs.coordinator_memory));
  line("memory of a client",
       absl::StrCat(FormatBytes(costs.client_memory), kNotCounted));
  return text;
}

Json ToJson(const RunCosts& costs) {
  if (costs.gossip) {
    return Json::Object()
        .Set("rows", costs.facts.rows)
        .Set("features", costs.facts.features)
        .Set("classes", costs.facts.classes)
        .Set("parameters", costs.parameters)
        .Set("peers", costs.clients)
        .Set("payload_bytes", costs.payload_bytes)
        .Set("payloads_per_peer", costs.payloads_per_peer)
        .Set("bytes_per_peer", costs.bytes_per_peer)
        .Set("bytes_in_all", costs.bytes_in_all)
        .Set("peer_vectors", costs.peer_vectors)
        .Set("peer_memory", costs.client_memory)
        .Set("doubt_memory", costs.doubt_memory)
        .Set("copy_memory", costs.copy_memory);
  }
  return Json::Object()
      .Set("rows", costs.facts.rows)
      .Set("features", costs.facts.features)
      .Set("classes", costs.facts.classes)
      .Set("parts", costs.facts.parts)
      .Set("parameters", costs.parameters)
      .Set("clients", costs.clients)
      .Set("needed", costs.needed)
      .Set("asked", costs.asked)
      .Set("bytes_down_per_client", costs.bytes_down_per_client)
      .Set("bytes_up_per_client", costs.bytes_up_per_client)
      .Set("bytes_down_per_round", costs.bytes_down_per_round)
      .Set("bytes_up_per_round", costs.bytes_up_per_round)
      .Set("evaluation_bytes_down", costs.evaluation_bytes_down)
      .Set("bytes_in_all", costs.bytes_in_all)
      .Set("coordinator_memory", costs.coordinator_memory)
      .Set("client_memory", costs.client_memory);
}

}  // namespace parley
