#include "server/store/recorded_run.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/store/journal.h"
#include "server/store/run_store.h"

namespace parley {

absl::StatusOr<RecordedRun> RecordedRunOf(
    absl::Span<const v1::JournalRecord> records) {
  RecordedRun run;
  bool opened = false;
  for (const v1::JournalRecord& record : records) {
    switch (record.kind_case()) {
      case v1::JournalRecord::kRunOpened:
        run.opened = record.run_opened();
        run.ended.reset();
        opened = true;
        break;
      case v1::JournalRecord::kRoundOpened: {
        const int64_t round = record.round_opened().round();
        run.rounds.erase(run.rounds.lower_bound(round), run.rounds.end());
        run.rounds[round].opened = record.round_opened();
        break;
      }
      case v1::JournalRecord::kRoundCommitted: {
        const auto it = run.rounds.find(record.round_committed().round());
        if (it == run.rounds.end()) {
          return absl::InvalidArgumentError(absl::StrCat(
              "the journal commits round ", record.round_committed().round(),
              ", which it has not opened"));
        }
        it->second.committed = record.round_committed();
        break;
      }
      case v1::JournalRecord::kRunEnded:
        run.ended = record.run_ended();
        break;
      case v1::JournalRecord::kMembership:
        run.membership = record.membership();
        break;
      case v1::JournalRecord::KIND_NOT_SET:
        break;  // of a newer version
    }
  }
  if (!opened) {
    return absl::InvalidArgumentError("the journal has no run: it never began");
  }
  return run;
}

absl::StatusOr<RecordedRun> ReadRecordedRun(const std::string& folder) {
  const absl::StatusOr<JournalContents> contents =
      ReadJournal(absl::StrCat(folder, "/", kJournalFile));
  if (absl::IsNotFound(contents.status())) {
    return absl::NotFoundError(
        absl::StrCat("there is no run in ", folder, "; see parley ls"));
  }
  PARLEY_RETURN_IF_ERROR(contents.status());
  return RecordedRunOf(contents->records);
}

std::vector<v1::RoundOpened> ReplayScript(const RecordedRun& run) {
  std::vector<v1::RoundOpened> script;
  for (const auto& [number, round] : run.rounds) {
    if (!round.committed.has_value()) continue;
    std::set<std::string> counted;
    for (const v1::TaskOutcome& outcome : round.committed->outcomes()) {
      if (outcome.kind() == v1::TRAIN && outcome.counted()) {
        counted.insert(outcome.client());
      }
    }
    v1::RoundOpened& step = script.emplace_back();
    step.set_round(number);
    for (const v1::CohortMember& member : round.opened.cohort()) {
      if (counted.count(member.client()) > 0) *step.add_cohort() = member;
    }
  }
  return script;
}

}  // namespace parley
