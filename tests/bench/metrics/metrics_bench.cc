// What the metrics of a round cost: writes those of a run once more, and prints
// the mean seconds that a round's line took, made and appended.
//
//   metrics_bench RUN/metrics.jsonl NEW_FILE

#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "common/report/metrics_log.h"

namespace parley {
namespace {

int Main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: metrics_bench METRICS_FILE NEW_FILE\n");
    return 2;
  }
  const auto rounds = ReadMetrics(argv[1]);
  if (!rounds.ok() || rounds->empty()) {
    std::fprintf(stderr, "%s: no rounds: %s\n", argv[1],
                 rounds.status().ToString().c_str());
    return 1;
  }
  const auto log = MetricsLog::Open(argv[2]);
  if (!log.ok()) {
    std::fprintf(stderr, "%s\n", log.status().ToString().c_str());
    return 1;
  }
  const auto begin = std::chrono::steady_clock::now();
  for (const RoundReport& round : *rounds) {
    if (const absl::Status status = (*log)->Append(round); !status.ok()) {
      std::fprintf(stderr, "%s\n", status.ToString().c_str());
      return 1;
    }
  }
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - begin;
  std::printf("%.9f\n", took.count() / static_cast<double>(rounds->size()));
  return 0;
}

}  // namespace
}  // namespace parley

int main(int argc, char** argv) { return parley::Main(argc, argv); }
