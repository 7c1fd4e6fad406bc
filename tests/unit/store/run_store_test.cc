#include "server/store/run_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/report/metrics_log.h"
#include "common/wire/spec.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/folder.h"

namespace parley {
namespace {

using absl::StatusCode;

v1::RunConfig Config() {
  v1::RunConfig config;
  config.set_name("test");
  config.set_seed(1);
  config.mutable_stop()->set_rounds(10);
  config.mutable_checkpoints()->set_keep(2);
  return config;
}

absl::StatusOr<std::unique_ptr<RunStore>> Open(
    const std::string& folder, bool resume = false,
    v1::RunConfig config = Config()) {
  return RunStore::Open(
      {.folder = folder, .config = std::move(config), .resume = resume});
}

void OpenRun(RunStore& store) {
  v1::JournalRecord record;
  record.mutable_run_opened()->set_term(store.term());
  record.mutable_run_opened()->set_run_id(store.run_id());
  *record.mutable_run_opened()->mutable_config() = Config();
  ASSERT_OK(store.Append(record));
  record.mutable_round_opened()->set_round(1);
  ASSERT_OK(store.Append(record));
}

void WriteCheckpoint(RunStore& store, int64_t round) {
  const ParameterSpec spec =
      *ParameterSpec::Create(DType::kFloat64, {{"w", {4}}});
  ParameterVector model(DType::kFloat64, 4);
  model.As<double>()[0] = static_cast<double>(round);
  v1::Checkpoint head;
  head.set_round(round);
  *head.mutable_spec() = SpecToProto(spec);
  ASSERT_OK(store.WriteCheckpoint(head, {{kModelSection, &model}}));
}

TEST(RunStore, OneCoordinatorAFolder) {
  const std::string folder = TestFolder() + "/made/here";
  ASSERT_OK_AND_ASSIGN(auto store, Open(folder));
  EXPECT_EQ(store->term(), 1);
  EXPECT_EQ(store->committed_rounds(), 0);
  EXPECT_THAT(Open(folder), StatusIs(StatusCode::kFailedPrecondition,
                                     "another coordinator runs"));
  store.reset();
  EXPECT_OK(Open(folder));
}

TEST(RunStore, AUsedFolderNeedsResume) {
  const std::string folder = TestFolder();
  uint64_t run_id;
  {
    ASSERT_OK_AND_ASSIGN(const auto store, Open(folder));
    run_id = store->run_id();
    EXPECT_NE(run_id, 0);
    OpenRun(*store);
  }
  EXPECT_THAT(Open(folder), StatusIs(StatusCode::kAlreadyExists, "--resume"));
  v1::RunConfig other = Config();
  other.set_seed(2);
  EXPECT_THAT(Open(folder, true, other),
              StatusIs(StatusCode::kFailedPrecondition, "seed: 1 -> 2"));
  v1::RunConfig longer = Config();
  longer.mutable_stop()->set_rounds(20);
  ASSERT_OK_AND_ASSIGN(const auto store, Open(folder, true, longer));
  EXPECT_EQ(store->term(), 2);
  EXPECT_EQ(store->run_id(), run_id);
  ASSERT_OK_AND_ASSIGN(const auto fresh, Open(folder + "/other"));
  EXPECT_NE(fresh->run_id(), run_id);
}

TEST(RunStore, ResumesWithTheValuesOfTheRoundThatItGoesOnFrom) {
  const std::string folder = TestFolder();
  {
    ASSERT_OK_AND_ASSIGN(const auto store, Open(folder));
    OpenRun(*store);
    for (int64_t round = 1; round <= 3; ++round) {
      v1::JournalRecord record;
      record.mutable_round_opened()->set_round(round);
      ASSERT_OK(store->Append(record));
      v1::RoundCommitted& committed = *record.mutable_round_committed();
      committed.set_round(round);
      (*committed.mutable_next_values())["log_loss"] = -0.1 * round;
      ASSERT_OK(store->Append(record));
      if (round == 2) WriteCheckpoint(*store, round);
    }
    EXPECT_TRUE(store->next_values().empty());
  }
  ASSERT_OK_AND_ASSIGN(const auto store, Open(folder, true));
  EXPECT_EQ(store->committed_rounds(), 2);
  EXPECT_EQ(store->next_values().at("log_loss"), -0.1 * 2);
}

TEST(RunStore, ARunThatNeverCameToARoundIsBegunAnew) {
  const std::string folder = TestFolder();
  {
    ASSERT_OK_AND_ASSIGN(const auto store, Open(folder));
    v1::JournalRecord record;
    record.mutable_run_opened()->set_term(store->term());
    ASSERT_OK(store->Append(record));
  }
  ASSERT_OK_AND_ASSIGN(const auto store, Open(folder));
  EXPECT_EQ(store->term(), 2);
}

TEST(RunStore, ResumesFromTheLastGoodCheckpointAndCutsTheMetrics) {
  const std::string folder = TestFolder();
  {
    ASSERT_OK_AND_ASSIGN(const auto store, Open(folder));
    OpenRun(*store);
    for (int64_t round : {2, 4, 6}) WriteCheckpoint(*store, round);
    EXPECT_EQ(ListCheckpoints(folder).size(), 2);
    ASSERT_OK_AND_ASSIGN(const auto log,
                         MetricsLog::Open(store->Path(kMetricsFile)));
    for (int64_t round = 1; round <= 7; ++round) {
      RoundReport report;
      report.round = round;
      ASSERT_OK(log->Append(report));
    }
  }
  const std::string latest = folder + "/" + CheckpointName(6);
  std::string bytes = ReadAll(latest);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  WriteAll(latest, bytes);

  ASSERT_OK_AND_ASSIGN(const auto store, Open(folder, true));
  EXPECT_EQ(store->committed_rounds(), 4);
  EXPECT_FALSE(std::filesystem::exists(latest));
  ParameterVector model(DType::kFloat64, 4);
  ASSERT_OK(store->TakeCheckpoint()->Read(kModelSection, model));
  EXPECT_EQ(model.As<double>()[0], 4);
  ASSERT_OK_AND_ASSIGN(const auto reports,
                       ReadMetrics(folder + "/metrics.jsonl"));
  ASSERT_EQ(reports.size(), 4);
  EXPECT_EQ(reports.back().round, 4);
}

}  // namespace
}  // namespace parley
