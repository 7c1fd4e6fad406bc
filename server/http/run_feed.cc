#include "server/http/run_feed.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/load.h"
#include "common/report/direction_facts.h"
#include "common/report/html_report.h"
#include "server/store/run_store.h"

namespace parley {
namespace {

// Less than a report shows: it is sent anew to whoever opens the page, and kept
// in the coordinator's memory.
constexpr RunHistory::Limits kLimits = {
    .rounds = 2000, .cells = 100'000, .clients = 200};

}  // namespace

RunFeed::RunFeed(std::string folder) : folder_(std::move(folder)) {
  MutexLock lock(mu_);
  run_.history = RunHistory(kLimits);
}

absl::Status RunFeed::Refresh() {
  const auto take = [this](RoundReport round, int64_t begin) REQUIRES(mu_) {
    run_.history.Add(round);
    lines_.emplace_back(round.round, begin);
    last_seconds_ = std::move(round.seconds);
  };
  const absl::Status read = ForEachNewRound(
      absl::StrCat(folder_, "/", kMetricsFile), &position_, take);
  if (!read.ok() && !absl::IsNotFound(read)) return read;
  // Written before the first round, perhaps after the page was opened.
  if (described_ && measures_ && run_.direction.empty()) {
    PARLEY_ASSIGN_OR_RETURN(run_.direction, ReadDirectionWords(folder_));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> RunFeed::Whole(RunHistory::Seen* seen) {
  MutexLock lock(mu_);
  if (!described_) {
    PARLEY_ASSIGN_OR_RETURN(const v1::RunConfig config,
                            LoadRunFile(absl::StrCat(folder_, "/", kRunFile)));
    RunHistory history = std::move(run_.history);
    run_ = DescribeRun(config);
    run_.history = std::move(history);
    measures_ = config.diagnostics().has_direction_gap();
    described_ = true;
  }
  PARLEY_RETURN_IF_ERROR(Refresh());
  *seen = run_.history.seen();
  return ReportJson({&run_, 1});
}

absl::StatusOr<std::string> RunFeed::Since(RunHistory::Seen* seen) {
  MutexLock lock(mu_);
  PARLEY_RETURN_IF_ERROR(Refresh());
  const RunHistory::Seen now = run_.history.seen();
  if (*seen == now) return "";
  const std::string members = run_.history.ToJsonMembers(*seen);
  *seen = now;
  return absl::StrCat("{", members,
                      ",\"direction\":", Sentences(run_.direction).ToString(),
                      "}");
}

absl::StatusOr<RunFeed::Lines> RunFeed::LinesAfter(int64_t round) {
  MutexLock lock(mu_);
  PARLEY_RETURN_IF_ERROR(Refresh());
  const auto first = std::upper_bound(
      lines_.begin(), lines_.end(), round,
      [](int64_t after, const auto& line) { return after < line.first; });
  return Lines{.path = absl::StrCat(folder_, "/", kMetricsFile),
               .begin = first == lines_.end() ? position_.bytes : first->second,
               .end = position_.bytes};
}

absl::StatusOr<std::vector<std::pair<std::string, double>>>
RunFeed::LastSeconds() {
  MutexLock lock(mu_);
  PARLEY_RETURN_IF_ERROR(Refresh());
  return last_seconds_;
}

}  // namespace parley
