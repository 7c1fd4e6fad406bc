// What a round driver writes, takes up again, and does where it cannot write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "common/base/json.h"
#include "common/files/parameter_file.h"
#include "server/round/round_driver.h"
#include "server/store/recorded_run.h"
#include "tests/unit/driver/driver_bench.h"
#include "tests/unit/store/folder.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(RoundDriver, WritesWhatWasDone) {
  const std::string folder = TestFolder();
  {
    Bench bench({.config = Config(2), .folder = folder});
    for (const char* name : {"a", "b", "c"}) bench.Join(name);
    bench.Run();
    ASSERT_TRUE(bench.end.has_value());
    EXPECT_EQ(bench.end->folder(), folder);

    ASSERT_OK_AND_ASSIGN(
        const ParameterVector model,
        LoadParameters(folder + "/model.safetensors", bench.driver->spec()));
    EXPECT_EQ(model.Hash(), bench.driver->model().Hash());
    ASSERT_OK_AND_ASSIGN(const auto reports,
                         ReadMetrics(folder + "/metrics.jsonl"));
    EXPECT_EQ(reports, bench.reports);
    ASSERT_OK_AND_ASSIGN(const RecordedRun run, ReadRecordedRun(folder));
    EXPECT_EQ(run.ended->state(), "FINISHED");
    EXPECT_EQ(run.rounds.at(2).committed->model_hash(), model.Hash());

    std::ifstream file(folder + "/status.json");
    std::string text;
    std::getline(file, text);
    ASSERT_OK_AND_ASSIGN(const Json status, Json::Parse(text));
    EXPECT_EQ(*status.Find("state")->AsString(), "finished");
    EXPECT_EQ(*status.Find("round")->AsInt64(), 2);

    // A replay of who counted makes the same model.
    Bench again({.config = Config(2), .script = ReplayScript(run)});
    for (const char* name : {"c", "b", "a"}) again.Join(name);
    again.Run();
    ASSERT_TRUE(again.end.has_value());
    EXPECT_EQ(again.driver->model().Hash(), model.Hash());
  }
  // And may be where another run starts.
  v1::RunConfig config = Config(1);
  config.mutable_start()->set_run(folder);
  const Bench next({.config = config});
  EXPECT_OK(LoadRunModel(folder, next.driver->spec()));
  EXPECT_NE(next.driver->model().As<float>()[0], 0);
}

TEST(RoundDriver, ResumedRunsEndAtTheSameModel) {
  v1::RunConfig config = Config(5);
  config.mutable_aggregation()->clear_optimizer();
  config.mutable_aggregation()->mutable_momentum()->set_momentum(0.5);
  config.mutable_aggregation()->mutable_momentum()->set_step_size(1);
  config.mutable_checkpoints()->set_every(2);
  std::vector<std::vector<std::string>> cohorts;
  uint64_t whole_hash;
  {
    Bench whole({.config = config});
    for (const char* name : {"a", "b", "c"}) whole.Join(name);
    whole.Run();
    cohorts = whole.Cohorts();
    whole_hash = whole.driver->model().Hash();
    EXPECT_EQ(Numbers(whole.driver->model()), Naive(cohorts, 0.5));
  }
  const std::string folder = TestFolder();
  const std::string crashed = folder + "_crashed";
  std::filesystem::remove_all(crashed);
  {
    Bench first({.config = config, .folder = folder});
    std::vector<std::shared_ptr<FakeClient>> clients;
    for (const char* name : {"a", "b", "c"}) {
      clients.push_back(
          first.Join(name, nullptr, false,
                     [&, name](int64_t round, const std::vector<float>& w) {
                       // As a crash in this round would leave the folder.
                       if (round == 4 && !std::filesystem::exists(crashed)) {
                         std::filesystem::copy(folder, crashed);
                       }
                       return Train(name, round, w);
                     }));
    }
    first.Run();
    EXPECT_EQ(first.driver->model().Hash(), whole_hash);
  }
  Bench second({.config = config, .folder = crashed, .resume = true});
  for (const char* name : {"a", "b", "c"}) second.Join(name);
  second.Run();
  ASSERT_TRUE(second.end.has_value());
  EXPECT_EQ(second.reports.size(), 3);  // 3, 4 and 5
  EXPECT_EQ(second.driver->model().Hash(), whole_hash);
  ASSERT_OK_AND_ASSIGN(const auto reports,
                       ReadMetrics(crashed + "/metrics.jsonl"));
  EXPECT_EQ(reports.size(), 5);
  ASSERT_OK_AND_ASSIGN(const RecordedRun run, ReadRecordedRun(crashed));
  EXPECT_EQ(run.opened.term(), 2);
  EXPECT_EQ(run.rounds.size(), 5);
  std::filesystem::remove_all(crashed);
}

TEST(RoundDriver, AResumedRunGoesOnCountingItsTime) {
  v1::RunConfig config = Config(5);
  config.mutable_checkpoints()->set_every(2);
  const std::string folder = TestFolder();
  const std::string crashed = folder + "_crashed";
  std::filesystem::remove_all(crashed);
  // Every round takes 10 s.
  const auto run = [&](Bench& bench, bool crash) {
    for (const char* name : {"a", "b", "c"}) {
      bench.Join(
          name, nullptr, false,
          [&, name](int64_t round, const std::vector<float>& w) {
            if (crash && round == 4 && !std::filesystem::exists(crashed)) {
              std::filesystem::copy(folder, crashed);
            }
            if (*name == 'a') bench.Pass(absl::Seconds(10));
            return Train(name, round, w);
          });
    }
    bench.Run();
  };
  Bench first({.config = config, .folder = folder});
  run(first, true);
  ASSERT_TRUE(first.end.has_value());
  EXPECT_EQ(first.end->seconds(), 50);

  // From the checkpoint of round 2 on; its time is over within round 4.
  config.mutable_stop()->set_wall_seconds(35);
  Bench second({.config = config, .folder = crashed, .resume = true});
  run(second, false);
  ASSERT_TRUE(second.end.has_value());
  EXPECT_EQ(second.end->state(), v1::FINISHED);
  EXPECT_EQ(second.end->round(), 3);
  EXPECT_EQ(second.end->seconds(), 40);
  std::vector<double> elapsed;
  ASSERT_OK_AND_ASSIGN(const auto reports,
                       ReadMetrics(crashed + "/metrics.jsonl"));
  for (const RoundReport& report : reports) {
    elapsed.push_back(report.elapsed_seconds);
  }
  EXPECT_THAT(elapsed, ElementsAre(10, 20, 30));
  std::filesystem::remove_all(crashed);
}

TEST(RoundDriver, JournalAndStatusAgreeThatAFileCouldNotBeWritten) {
  for (const std::string file :
       {"checkpoint-00000001", "model.safetensors", "status.json"}) {
    SCOPED_TRACE(file);
    const std::string folder = TestFolder();
    v1::RunConfig config = Config();
    config.mutable_checkpoints()->set_every(1);
    Bench bench({.config = config, .folder = folder});
    for (const char* name : {"a", "b", "c"}) bench.Join(name);
    // Nobody, not even root, writes a file where a folder is.
    std::filesystem::create_directory(folder + "/" + file + ".part");
    bench.Run();
    ASSERT_TRUE(bench.end.has_value());
    EXPECT_EQ(bench.end->state(), v1::FAILED);
    EXPECT_THAT(bench.end->detail(), ::testing::HasSubstr(file));
    ASSERT_OK_AND_ASSIGN(const RecordedRun run, ReadRecordedRun(folder));
    ASSERT_TRUE(run.ended.has_value());
    EXPECT_EQ(run.ended->state(), "FAILED");
    EXPECT_EQ(run.ended->reason(), bench.end->detail());
    EXPECT_EQ(std::filesystem::exists(folder + "/status.json"),
              file != "status.json");
  }
}

TEST(RoundDriver, AFileThatCannotBeWrittenFailsTheRun) {
  const std::string folder = TestFolder();
  Bench bench({.config = Config(), .folder = folder});
  for (const char* name : {"a", "b", "c"}) bench.Join(name);
  // No file may grow beyond what the journal has now.
  rlimit whole;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &whole), 0);
  signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {std::filesystem::file_size(folder + "/journal"),
                        whole.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  bench.Run();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &whole), 0);
  ASSERT_TRUE(bench.end.has_value());
  EXPECT_EQ(bench.end->state(), v1::FAILED);
  EXPECT_THAT(bench.end->detail(), ::testing::HasSubstr("journal"));
}

}  // namespace
}  // namespace parley
