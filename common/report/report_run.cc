#include "common/report/report_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/build.h"
#include "common/config/load.h"
#include "common/report/direction_facts.h"
#include "common/report/metrics_log.h"

namespace parley {
namespace {

void CountLabelsInto(const v1::RunConfig& config, ReportRun* run) {
  if (!config.data().has_train()) {
    run->labels_why =
        "The clients brought data of their own. They do not tell what labels "
        "it has.";
    return;
  }
  absl::StatusOr<LabelHistogram> labels = CountLabelsOf(config);
  if (!labels.ok()) {
    run->labels_why = absl::StrCat("The training data cannot be read: ",
                                   labels.status().message());
    return;
  }
  if (labels->labels.empty()) {
    run->labels_why = "The training data has real targets, not labels.";
    return;
  }
  run->labels = *std::move(labels);
  run->parts = static_cast<int64_t>(run->labels.counts.size());
  const int64_t most =
      kMaxLabelCells / static_cast<int64_t>(run->labels.labels.size());
  run->labels.counts.resize(std::min(run->parts, most));
}

}  // namespace

ReportRun DescribeRun(const v1::RunConfig& config) {
  ReportRun run;
  run.name = config.name();
  run.planned_rounds = config.stop().rounds();
  run.run_file = PrintRun(config);
  if (config.has_gossip()) {
    // Without its graph where that cannot be made: the numbers are there.
    absl::StatusOr<GossipFacts> facts = GossipFactsOf(config);
    run.gossip = facts.ok() ? *std::move(facts) : GossipFacts();
  }
  CountLabelsInto(config, &run);
  return run;
}

absl::StatusOr<ReportRun> ReadReportRun(const std::string& folder,
                                        const v1::RunConfig& config) {
  ReportRun run = DescribeRun(config);
  const absl::Status read =
      ForEachRound(absl::StrCat(folder, "/", kMetricsFile),
                   [&](RoundReport round) { run.history.Add(round); });
  if (!read.ok() && !absl::IsNotFound(read)) return read;
  if (!config.diagnostics().has_direction_gap()) return run;
  PARLEY_ASSIGN_OR_RETURN(run.direction, ReadDirectionWords(folder));
  return run;
}

}  // namespace parley
