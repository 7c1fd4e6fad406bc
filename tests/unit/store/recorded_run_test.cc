#include "server/store/recorded_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace parley {
namespace {

std::vector<v1::JournalRecord> records;

v1::JournalRecord& Add() { return records.emplace_back(); }

void OpenRun(uint64_t term) { Add().mutable_run_opened()->set_term(term); }
void OpenRound(int64_t round, const std::vector<std::string>& cohort) {
  v1::RoundOpened* opened = Add().mutable_round_opened();
  opened->set_round(round);
  for (const std::string& name : cohort) {
    opened->add_cohort()->set_client(name);
  }
}
void Commit(int64_t round, const std::vector<std::string>& counted) {
  v1::RoundCommitted* committed = Add().mutable_round_committed();
  committed->set_round(round);
  for (const char* name : {"a", "b", "c"}) {
    v1::TaskOutcome* outcome = committed->add_outcomes();
    outcome->set_client(name);
    outcome->set_kind(v1::TRAIN);
    outcome->set_counted(std::count(counted.begin(), counted.end(), name) > 0);
    v1::TaskOutcome* evaluated = committed->add_outcomes();
    evaluated->set_client(name);
    evaluated->set_kind(v1::EVALUATE);
    evaluated->set_counted(true);
  }
}

TEST(RecordedRun, ARoundOpenedAgainTakesBackWhatCameAfterIt) {
  records.clear();
  OpenRun(1);
  for (int64_t round = 1; round <= 3; ++round) {
    OpenRound(round, {"a", "b", "c"});
    Commit(round, {"a"});
  }
  OpenRun(2);  // from a checkpoint of round 1
  OpenRound(2, {"c", "b", "a"});
  Commit(2, {"a", "c"});
  OpenRound(3, {"b"});

  ASSERT_OK_AND_ASSIGN(const RecordedRun run, RecordedRunOf(records));
  EXPECT_EQ(run.opened.term(), 2);
  EXPECT_EQ(run.rounds.size(), 3);
  EXPECT_FALSE(run.rounds.at(3).committed.has_value());

  // In cohort order, those that trained and counted.
  const std::vector<v1::RoundOpened> script = ReplayScript(run);
  ASSERT_EQ(script.size(), 2);
  ASSERT_EQ(script[0].cohort_size(), 1);
  EXPECT_EQ(script[0].cohort(0).client(), "a");
  ASSERT_EQ(script[1].cohort_size(), 2);
  EXPECT_EQ(script[1].cohort(0).client(), "c");
  EXPECT_EQ(script[1].cohort(1).client(), "a");
}

TEST(RecordedRun, RefusesAJournalThatMakesNoSense) {
  records.clear();
  EXPECT_THAT(RecordedRunOf(records),
              StatusIs(absl::StatusCode::kInvalidArgument, "never began"));
  OpenRun(1);
  Commit(7, {});
  EXPECT_THAT(RecordedRunOf(records),
              StatusIs(absl::StatusCode::kInvalidArgument, "round 7"));
}

}  // namespace
}  // namespace parley
