#include "tools/cli/topology_text.h"

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/json.h"
#include "tools/cli/progress.h"

namespace parley {
namespace {

constexpr int64_t kShownDrawn = 4;
// W of more peers, or more lines of it in all, are not printed.
constexpr int64_t kMostColumns = 16;
constexpr int64_t kMostLines = 64;
constexpr double kShare = 1e-6;

double RoundSeconds(const TopologyFacts& facts) {
  return GossipSeconds(facts.spectrum.mean_degree, facts.model_bytes,
                       facts.link);
}

double RingSeconds(const TopologyFacts& facts) {
  return RingAllReduceSeconds(facts.schedule.peers(), facts.model_bytes,
                              facts.link);
}

std::string Line(absl::string_view name, absl::string_view value) {
  // Names may hold letters of two bytes: pad by what is seen.
  size_t seen = 0;
  for (char c : name) seen += (c & 0xC0) != 0x80;
  return absl::StrCat("  ", name, std::string(seen < 22 ? 22 - seen : 1, ' '),
                      value, "\n");
}

std::string MatrixText(const Schedule& schedule, int64_t round) {
  std::string text;
  for (int64_t peer = 0; peer < schedule.peers(); ++peer) {
    std::vector<double> row(schedule.peers(), 0);
    for (const PeerWeight& in : schedule.Row(round, peer).in) {
      row[in.peer] = in.weight;
    }
    absl::StrAppend(&text, " ");
    for (double weight : row) {
      absl::StrAppend(
          &text, weight == 0 ? "      ·" : absl::StrFormat(" %.4f", weight));
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

std::string Matrices(const Schedule& schedule) {
  const int64_t rounds = ShownRounds(schedule);
  if (schedule.peers() > kMostColumns ||
      schedule.peers() * rounds > kMostLines) {
    return "";
  }
  std::string text;
  for (int64_t round = 0; round < rounds; ++round) {
    absl::StrAppend(&text, "\nW",
                    rounds > 1 ? absl::StrCat(" of round ", round + 1) : "",
                    "\n", MatrixText(schedule, round));
  }
  return text;
}

std::string Kind(const TopologyFacts& facts) {
  const int64_t period = facts.schedule.period();
  return absl::StrCat(
      facts.options.kind, ", ", facts.schedule.peers(),
      facts.schedule.peers() == 1 ? " peer" : " peers",
      facts.schedule.symmetric() ? "" : ", directed",
      facts.options.lazy ? ", lazy: (I + W)/2" : "",
      period == 0  ? ", drawn anew each round"
      : period > 1 ? absl::StrCat(", repeats itself after ", period, " rounds")
                   : "",
      "\n");
}

}  // namespace

int64_t ShownRounds(const Schedule& schedule) {
  return schedule.period() == 0 ? kShownDrawn : schedule.period();
}

std::string DescribeTopology(const TopologyFacts& facts) {
  const Spectrum& spectrum = facts.spectrum;
  std::string text = Kind(facts);
  std::string how = " contraction of ‖x − x̄‖ a round";
  if (facts.schedule.period() > 1) how += ", over a period";
  if (spectrum.estimated_rounds > 0) {
    how += absl::StrCat(", an estimate over ", spectrum.estimated_rounds,
                        " rounds");
  }
  absl::StrAppend(
      &text, Line("ρ", absl::StrFormat("%.6f ", spectrum.contraction) + how),
      Line("spectral gap", absl::StrFormat("%.6f", spectrum.gap())));
  const double rounds = spectrum.RoundsTo(kShare);
  absl::StrAppend(&text,
                  Line("rounds to 1e-6",
                       spectrum.exact_after > 0
                           ? absl::StrCat(spectrum.exact_after, ", and exact")
                       : std::isinf(rounds) ? "never"
                                            : absl::StrFormat("%.0f", rounds)));
  if (spectrum.lambda_min.has_value()) {
    absl::StrAppend(
        &text, Line("λ_min(W)", absl::StrFormat("%.6f", *spectrum.lambda_min)));
  }
  absl::StrAppend(&text, Line("degree", absl::StrCat(spectrum.max_degree)));
  absl::StrAppendFormat(
      &text,
      "\nA round of a model of %s at %.6g Gb/s with a latency of %.6g ms takes "
      "at least\n",
      FormatSize(static_cast<uint64_t>(facts.model_bytes)),
      facts.link.bytes_per_second * 8 / 1e9, facts.link.latency_seconds * 1e3);
  absl::StrAppend(
      &text,
      Line(facts.options.kind, absl::StrFormat("%.6g s", RoundSeconds(facts))),
      Line("ring all-reduce", absl::StrFormat("%.6g s", RingSeconds(facts))),
      Matrices(facts.schedule));
  return text;
}

std::string TopologyJson(const TopologyFacts& facts) {
  const Spectrum& spectrum = facts.spectrum;
  const Schedule& schedule = facts.schedule;
  Json json = Json::Object();
  json.Set("kind", facts.options.kind)
      .Set("peers", schedule.peers())
      .Set("lazy", facts.options.lazy)
      .Set("symmetric", schedule.symmetric())
      .Set("period", schedule.period())
      .Set("hash", absl::StrFormat("%016x", schedule.hash()))
      .Set("contraction", spectrum.contraction)
      .Set("estimated_rounds", spectrum.estimated_rounds)
      .Set("spectral_gap", spectrum.gap())
      .Set("rounds_to_1e-6", spectrum.RoundsTo(kShare))
      .Set("exact_after", spectrum.exact_after)
      .Set("lambda_min", spectrum.lambda_min)
      .Set("max_degree", spectrum.max_degree)
      .Set("mean_degree", spectrum.mean_degree)
      .Set("model_bytes", facts.model_bytes)
      .Set("bytes_per_second", facts.link.bytes_per_second)
      .Set("latency_seconds", facts.link.latency_seconds)
      .Set("round_seconds", RoundSeconds(facts))
      .Set("ring_all_reduce_seconds", RingSeconds(facts));
  // By hand: a tree of so many numbers would take a hundred times the bytes.
  std::string text = json.ToString();
  text.back() = ',';
  absl::StrAppend(&text, "\"w\":[");
  for (int64_t round = 0; round < ShownRounds(schedule); ++round) {
    absl::StrAppend(&text, round > 0 ? ",[" : "[");
    for (int64_t peer = 0; peer < schedule.peers(); ++peer) {
      absl::StrAppend(&text, peer > 0 ? ",[" : "[");
      bool first = true;
      for (const PeerWeight& in : schedule.Row(round, peer).in) {
        absl::StrAppend(&text, first ? "[" : ",[", in.peer, ",",
                        Json(in.weight).ToString(), "]");
        first = false;
      }
      absl::StrAppend(&text, "]");
    }
    absl::StrAppend(&text, "]");
  }
  absl::StrAppend(&text, "]}\n");
  return text;
}

}  // namespace parley
