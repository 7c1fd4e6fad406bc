#include "tools/cli/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/report/metrics_log.h"
#include "server/run/run_files.h"
#include "server/store/run_store.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/cli/temp_folder.h"

namespace parley {
namespace {

// What a coordinator leaves behind that committed two of five rounds.
void WriteRun(const std::string& folder, const char* end_state) {
  std::filesystem::create_directories(folder);
  ASSERT_OK_AND_ASSIGN(auto journal,
                       Journal::Open(folder + "/journal", nullptr));
  v1::JournalRecord record;
  record.mutable_run_opened()->set_run("demo");
  record.mutable_run_opened()->mutable_config()->mutable_stop()->set_rounds(5);
  record.mutable_run_opened()->mutable_config()->add_tags("red");
  ASSERT_OK(journal->Append(record));
  ASSERT_OK_AND_ASSIGN(auto metrics,
                       MetricsLog::Open(folder + "/metrics.jsonl"));
  for (int round = 1; round <= 2; ++round) {
    record.mutable_round_opened()->set_round(round);
    ASSERT_OK(journal->Append(record));
    record.mutable_round_committed()->set_round(round);
    ASSERT_OK(journal->Append(record));
    RoundReport report;
    report.round = round;
    // Evaluated every second round only.
    if (round == 1) report.federated = {0.5, 0.75};
    report.bytes_up = 100;
    report.bytes_down = 10;
    report.elapsed_seconds = round * 1.5;
    ASSERT_OK(metrics->Append(report));
  }
  if (end_state == nullptr) return;
  record.mutable_run_ended()->set_state(end_state);
  record.mutable_run_ended()->set_reason("because");
  ASSERT_OK(journal->Append(record));
}

TEST(RunFolderTest, NumbersFoldersAndTakesNoneTwice) {
  TempFolder temp;
  const std::string runs = temp.Path("deep/runs");
  ASSERT_OK_AND_ASSIGN(std::string folder, MakeRunFolder(runs, "demo"));
  EXPECT_EQ(folder, runs + "/demo-1");
  ASSERT_OK_AND_ASSIGN(folder, MakeRunFolder(runs, "demo"));
  EXPECT_EQ(folder, runs + "/demo-2");
  std::filesystem::remove(runs + "/demo-1");
  std::filesystem::create_directory(runs + "/demo-3");
  ASSERT_OK_AND_ASSIGN(folder, MakeRunFolder(runs, "demo"));
  EXPECT_EQ(folder, runs + "/demo-1");
  ASSERT_OK_AND_ASSIGN(folder, MakeRunFolder(runs, "demo"));
  EXPECT_EQ(folder, runs + "/demo-4");
  EXPECT_FALSE(MakeRunFolder(temp.Write("file", ""), "demo").ok());
}

TEST(RunFolderTest, AFolderWithSomethingInItIsNotTaken) {
  TempFolder temp;
  EXPECT_OK(MakeEmptyFolder(temp.Path("a/b")));
  EXPECT_OK(MakeEmptyFolder(temp.Path("a/b")));
  EXPECT_THAT(MakeEmptyFolder(temp.Path("a")),
              StatusIs(absl::StatusCode::kAlreadyExists, "not empty"));
  EXPECT_FALSE(MakeEmptyFolder(temp.Write("file", "")).ok());
}

TEST(RunFolderTest, SummarizesARun) {
  TempFolder temp;
  const std::string folder = temp.Path("demo-1");
  WriteRun(folder, "STOPPED");
  ASSERT_OK_AND_ASSIGN(const RunSummary run, ReadRunSummary(folder));
  EXPECT_EQ(run.run, "demo");
  EXPECT_EQ(run.tags, std::vector<std::string>{"red"});
  EXPECT_EQ(run.state, "stopped");
  EXPECT_EQ(run.reason, "because");
  EXPECT_EQ(run.rounds, 2);
  EXPECT_EQ(run.planned, 5);
  EXPECT_EQ(run.loss, 0.5);
  EXPECT_EQ(run.accuracy, 0.75);
  EXPECT_EQ(run.seconds, 3);
  EXPECT_EQ(run.bytes_up, 200u);
  EXPECT_EQ(run.bytes_down, 20u);
  EXPECT_EQ(run.size,
            std::filesystem::file_size(folder + "/journal") +
                std::filesystem::file_size(folder + "/metrics.jsonl"));
}

TEST(RunFolderTest, ARunIsRunningWhileItsFolderIsLocked) {
  TempFolder temp;
  const std::string folder = temp.Path("demo-1");
  WriteRun(folder, nullptr);
  EXPECT_EQ(ReadRunSummary(folder)->state, "interrupted");
  temp.Write("demo-1/address", "127.0.0.1:1\n");
  EXPECT_EQ(ReadRunSummary(folder)->state, "interrupted");
  const int fd = open(folder.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(ReadRunSummary(folder)->state, "running");
  WriteRun(folder, "FAILED");  // and says goodbye
  EXPECT_EQ(ReadRunSummary(folder)->state, "failed");
  close(fd);
}

TEST(RunFolderTest, ReadsHowARunEnded) {
  TempFolder temp;
  EXPECT_THAT(ReadFinalStatus(temp.path()),
              StatusIs(absl::StatusCode::kNotFound, "status.json"));
  v1::RunStatus status;
  status.set_run("demo");
  status.set_state(v1::STOPPED);
  temp.Write("status.json", StatusJson(status));
  ASSERT_OK_AND_ASSIGN(const v1::RunStatus read, ReadFinalStatus(temp.path()));
  EXPECT_EQ(read.state(), v1::STOPPED);
  temp.Write("status.json", "nonsense");
  EXPECT_THAT(ReadFinalStatus(temp.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, "status.json"));
}

TEST(RunFolderTest, ListsRunsOnly) {
  TempFolder temp;
  EXPECT_THAT(ListRuns(temp.Path("none")),
              StatusIs(absl::StatusCode::kNotFound, "none"));
  EXPECT_TRUE(ListRuns(temp.path())->empty());
  WriteRun(temp.Path("demo-1"), "FINISHED");
  WriteRun(temp.Path("demo-2"), "FAILED");
  temp.Write("file", "");
  std::filesystem::create_directory(temp.Path("other"));
  std::filesystem::create_directory(temp.Path("broken"));
  temp.Write("broken/journal", "no journal at all");
  ASSERT_OK_AND_ASSIGN(const auto runs, ListRuns(temp.path()));
  ASSERT_EQ(runs.size(), 3u);
  std::vector<std::string> states;
  for (const RunSummary& run : runs) states.push_back(run.state);
  EXPECT_THAT(states,
              testing::UnorderedElementsAre("damaged", "finished", "failed"));
}

TEST(RunFolderTest, LastLines) {
  TempFolder temp;
  EXPECT_EQ(LastLines(temp.Path("none"), 3), "");
  EXPECT_EQ(LastLines(temp.Write("a", ""), 3), "");
  EXPECT_EQ(LastLines(temp.Write("b", "1\n2\n"), 3), "1\n2\n");
  EXPECT_EQ(LastLines(temp.Write("c", "1\n2\n3\n4\n"), 3), "2\n3\n4\n");
  EXPECT_EQ(LastLines(temp.Write("d", "1\n2\n3\n4"), 3), "2\n3\n4");
  EXPECT_EQ(LastLines(temp.Write("e", "\n\n\n\n"), 2), "\n\n");
  EXPECT_EQ(LastLines(temp.Write("f", std::string(99999, 'x') + "\nend\n"), 1),
            "end\n");
}

}  // namespace
}  // namespace parley
