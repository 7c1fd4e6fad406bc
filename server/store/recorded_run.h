// What a journal says of its run: for replay, and for taking it up again.
#ifndef PARLEY_SERVER_STORE_RECORDED_RUN_H_
#define PARLEY_SERVER_STORE_RECORDED_RUN_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "parley/v1/journal.pb.h"

namespace parley {

struct RecordedRound {
  v1::RoundOpened opened;
  std::optional<v1::RoundCommitted> committed;
};

struct RecordedRun {
  v1::RunOpened opened;                      // of the latest start
  std::map<int64_t, RecordedRound> rounds;   // those that hold, by number
  std::optional<v1::RunEnded> ended;         // of the latest start
  std::optional<v1::Membership> membership;  // of a gossip run: the latest
};

// A round opened again takes back what was said of it and of later ones.
// InvalidArgument: no run was opened, or a round was committed unopened.
absl::StatusOr<RecordedRun> RecordedRunOf(
    absl::Span<const v1::JournalRecord> records);

// Of a run's folder. As ReadJournal and RecordedRunOf.
absl::StatusOr<RecordedRun> ReadRecordedRun(const std::string& folder);

// The committed rounds, each with those of its cohort whose updates counted:
// who must answer when the run is replayed.
std::vector<v1::RoundOpened> ReplayScript(const RecordedRun& run);

}  // namespace parley

#endif  // PARLEY_SERVER_STORE_RECORDED_RUN_H_
