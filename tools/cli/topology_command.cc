#include <cmath>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/flags.h"
#include "common/base/nearest.h"
#include "common/base/status_macros.h"
#include "common/config/load.h"
#include "common/config/run_topology.h"
#include "common/files/file_io.h"
#include "common/topology/drawing.h"
#include "tools/cli/command.h"
#include "tools/cli/topology_text.h"

namespace parley {
namespace {

// The command line.
struct Arguments {
  std::optional<int64_t> peers, rows, degree, neighbours, k, seed;
  std::optional<double> probability, rewire;
  std::string edges, svg;
  std::vector<std::string> sets;
  bool directed = false, lazy = false, json = false;
  double model_bytes = 1e8, bandwidth = 1e9, latency = 0.02;
};

struct Asked {
  TopologyOptions options;
  ScheduleKey key;
};

absl::StatusOr<PeerEdge> ParseEdge(absl::string_view text) {
  const std::vector<absl::string_view> ends = absl::StrSplit(text, '-');
  PeerEdge edge;
  if (ends.size() != 2 || !absl::SimpleAtoi(ends[0], &edge.a) ||
      !absl::SimpleAtoi(ends[1], &edge.b)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--edges: \"", text, "\" must be PEER-PEER, as in 0-1"));
  }
  return edge;
}

// Of flags: a kind's fields that are given for another one are an error.
absl::StatusOr<Asked> FromFlags(const std::string& kind,
                                const Arguments& arguments) {
  struct {
    const char* flag;
    bool given;
    std::vector<absl::string_view> kinds;
  } const kFields[] = {
      {"directed", arguments.directed, {"ring"}},
      {"rows", arguments.rows.has_value(), {"grid", "torus"}},
      {"degree", arguments.degree.has_value(), {"random_regular"}},
      {"probability", arguments.probability.has_value(), {"erdos_renyi"}},
      {"neighbours", arguments.neighbours.has_value(), {"small_world"}},
      {"rewire", arguments.rewire.has_value(), {"small_world"}},
      {"edges", !arguments.edges.empty(), {"edges"}},
      {"k", arguments.k.has_value(), {"base"}},
      {"seed",
       arguments.seed.has_value(),
       {"random_regular", "erdos_renyi", "small_world", "random_matching"}},
      {"set", !arguments.sets.empty(), {"a run file"}},
  };
  for (const auto& field : kFields) {
    bool fits = !field.given;
    for (absl::string_view other : field.kinds) fits |= other == kind;
    if (!fits) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--", field.flag, " is for ",
          absl::StrJoin(field.kinds, field.kinds.size() == 2 ? " and " : ", "),
          ", not for ", kind));
    }
  }
  if (!arguments.peers.has_value()) {
    return absl::InvalidArgumentError(
        "--peers N is missing: how many are they?");
  }
  if (arguments.rows.has_value() && *arguments.rows < 1) {
    return absl::InvalidArgumentError("--rows must be 1 or more");
  }
  if (arguments.seed.value_or(0) < 0) {
    return absl::InvalidArgumentError("--seed must be 0 or more");
  }
  Asked asked;
  asked.key.peers = *arguments.peers;
  asked.options.kind = kind;
  asked.options.directed = arguments.directed;
  asked.options.rows = arguments.rows.value_or(0);
  if (arguments.degree) asked.options.degree = *arguments.degree;
  if (arguments.probability) asked.options.probability = *arguments.probability;
  if (arguments.neighbours) asked.options.neighbours = *arguments.neighbours;
  if (arguments.rewire) asked.options.rewire = *arguments.rewire;
  if (arguments.k) asked.options.k = *arguments.k;
  if (!arguments.edges.empty()) {
    for (absl::string_view text : absl::StrSplit(arguments.edges, ',')) {
      PARLEY_ASSIGN_OR_RETURN(const PeerEdge edge, ParseEdge(text));
      asked.options.edges.push_back(edge);
    }
  }
  asked.options.lazy = arguments.lazy;
  asked.key.seed = static_cast<uint64_t>(arguments.seed.value_or(1));
  return asked;
}

absl::StatusOr<Asked> FromRunFile(const std::string& file,
                                  const Arguments& arguments) {
  if (arguments.directed || arguments.rows || arguments.degree ||
      arguments.probability || arguments.neighbours || arguments.rewire ||
      arguments.k || arguments.seed || !arguments.edges.empty()) {
    return absl::InvalidArgumentError(
        "a run file says its topology and seed: change them by --set "
        "FIELD=VALUE");
  }
  PARLEY_ASSIGN_OR_RETURN(const v1::RunConfig config,
                          LoadRunFile(file, arguments.sets));
  if (!config.has_gossip()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": has no gossip, so it has no topology"));
  }
  Asked asked;
  asked.options = TopologyOptionsOf(config.gossip().topology());
  asked.options.lazy = arguments.lazy || config.gossip().has_d2();
  asked.key.seed = config.seed();
  if (arguments.peers.has_value()) {
    asked.key.peers = *arguments.peers;
  } else if (config.data().has_train()) {
    asked.key.peers = config.data().partition().parts();
  } else {
    return absl::InvalidArgumentError(
        "--peers N is missing: a run file without data.train does not say how "
        "many they are");
  }
  return asked;
}

absl::Status CheckLink(const Arguments& arguments) {
  if (!(arguments.model_bytes >= 0 && arguments.model_bytes < 1e18)) {
    return absl::InvalidArgumentError("--model-bytes must be 0 to 1e18");
  }
  if (!(arguments.bandwidth > 0 && std::isfinite(arguments.bandwidth))) {
    return absl::InvalidArgumentError("--bandwidth must be > 0");
  }
  if (!(arguments.latency >= 0 && std::isfinite(arguments.latency))) {
    return absl::InvalidArgumentError("--latency must be 0 or more");
  }
  return absl::OkStatus();
}

// What looks like a file is one.
bool IsFile(const std::string& what) {
  return absl::StrContains(what, '.') || absl::StrContains(what, '/');
}

absl::StatusOr<Asked> Understand(const std::string& what,
                                 const Arguments& arguments) {
  PARLEY_RETURN_IF_ERROR(CheckLink(arguments));
  if (IsFile(what)) return FromRunFile(what, arguments);
  std::vector<std::string> kinds;
  for (absl::string_view kind : TopologyKinds()) {
    if (what == kind) return FromFlags(what, arguments);
    kinds.emplace_back(kind);
  }
  return absl::InvalidArgumentError(NoSuch("Topology", "kind", what, kinds));
}

int Show(const Asked& asked, const Arguments& arguments) {
  const absl::Status fits = CheckTopology(asked.options, asked.key.peers);
  if (!fits.ok()) return Complain(fits, kExitUsage);
  const auto schedule = Schedule::Create(asked.options, asked.key);
  if (!schedule.ok()) return Complain(schedule.status());
  const auto spectrum = SpectrumOf(**schedule);
  if (!spectrum.ok()) return Complain(spectrum.status(), kExitUsage);
  if (!arguments.svg.empty()) {
    const absl::Status written = ReplaceFile(
        arguments.svg,
        DrawTopology(asked.options, **schedule, ShownRounds(**schedule)));
    if (!written.ok()) return Complain(written);
  }
  const TopologyFacts facts = {
      asked.options, **schedule, *spectrum, arguments.model_bytes,
      LinkCost{.bytes_per_second = arguments.bandwidth / 8,
               .latency_seconds = arguments.latency}};
  const std::string text =
      arguments.json ? TopologyJson(facts) : DescribeTopology(facts);
  std::fputs(text.c_str(), stdout);
  return kExitOk;
}

}  // namespace

int TopologyCommand(int argc, const char* const* argv) {
  Arguments arguments;
  Flags flags(
      {"parley topology", "KIND|FILE",
       "Prints how a graph of peers mixes: its matrix W, how fast it "
       "brings peers together,\nand what a round takes. KIND is one "
       "of those below, FILE a run file with gossip.\n",
       "Kinds:\n"
       "  ring                  Both ways, or one with --directed.\n"
       "  path                  A ring that is cut.\n"
       "  grid                  In --rows.\n"
       "  torus                 A grid whose sides are joined.\n"
       "  star                  All with the first peer.\n"
       "  complete              All with all.\n"
       "  hypercube             Of a power of two of peers.\n"
       "  static_exponential    To those 1, 2, 4, ... further on.\n"
       "  random_regular        Each of the same --degree, by --seed.\n"
       "  erdos_renyi           Edges of equal --probability, by --seed.\n"
       "  small_world           --neighbours on a ring, some moved by --rewire "
       "and --seed.\n"
       "  edges                 Those of --edges.\n"
       "  one_peer_exponential  1, then 2, then 4, ... further on: a round "
       "each.\n"
       "  random_matching       Other pairs each round, by --seed.\n"
       "  base                  Exact after a few rounds of at most --k "
       "neighbours.\n"
       "\n"
       "Examples:\n"
       "  $ parley topology ring --peers 16\n"
       "  $ parley topology base --k 2 --peers 25 --svg base.svg\n"
       "  $ parley topology edges --edges 0-1,1-2,2-3,3-0 --peers 4\n"
       "\n"
       "Exit codes: 0 done; 1 the picture cannot be written, or no "
       "connected graph was drawn;\n2 the command line or the run file "
       "is wrong, or so many peers cannot form the graph.\n",
       1, 1});
  flags.Add("peers", &arguments.peers, "N",
            "How many. Default: the parts of the run file's data.");
  flags.Add("directed", &arguments.directed, "",
            "Each sends to the next only.");
  flags.Add("rows", &arguments.rows, "N",
            "Default: as square as the peers allow.");
  flags.Add("degree", &arguments.degree, "N", "Of each peer. Default: 3.");
  flags.Add("probability", &arguments.probability, "P", "Of each edge.");
  flags.Add("neighbours", &arguments.neighbours, "N",
            "Of each peer, before any is moved; even. Default: 4.");
  flags.Add("rewire", &arguments.rewire, "P",
            "Of each edge to be moved. Default: 0.1.");
  flags.Add("edges", &arguments.edges, "A-B,...", "Pairs of peers, from 0.");
  flags.Add("k", &arguments.k, "N", "Neighbours at most. Default: 1.");
  flags.Add("seed", &arguments.seed, "N", "Of what is drawn. Default: 1.");
  flags.Add("set", &arguments.sets, "FIELD=VALUE",
            "Change a field of the run file; may be repeated.");
  flags.Add("lazy", &arguments.lazy, "",
            "(I + W)/2 in place of W, as D2 mixes.");
  flags.Add("model-bytes", &arguments.model_bytes, "BYTES",
            "Of the model, for what a round takes. Default: 1e8.");
  flags.Add("bandwidth", &arguments.bandwidth, "BITS",
            "A second, of each peer and way. Default: 1e9.");
  flags.Add("latency", &arguments.latency, "SECONDS", "Default: 0.02.");
  flags.Add("svg", &arguments.svg, "FILE",
            "Draw the graph there; of changing graphs one a round.");
  flags.Add("json", &arguments.json, "",
            "Print one JSON object, with the whole of W.");
  if (const std::optional<int> code = flags.ParseMain(argc, argv)) return *code;
  const auto asked = Understand(flags.arguments()[0], arguments);
  if (!asked.ok()) {
    return IsFile(flags.arguments()[0]) ? Complain(asked.status(), kExitUsage)
                                        : flags.UsageError(asked.status());
  }
  return Show(*asked, arguments);
}

}  // namespace parley
