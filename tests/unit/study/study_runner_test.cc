#include "tools/study/study_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tools/study/cell_folder.h"
#include "tools/study/study_file.h"
#include "tools/study/study_report.h"
#include "tools/study/study_results.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kStudy[] = R"(
run {
  data {
    train { separable { rows: 16 features: 4 margin: 0.5 } }
    partition { parts: 2 }
  }
  stop { rounds: 20 }
}
implicit_bias {
  algorithm { local_gd {} }
  algorithm { one_shot {} }
  local_steps: [1, 3, 5]
  step_size { fixed: 0.1 }
}
)";

class StudyRunnerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(
        testing::TempDir(), "/study-",
        testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    auto study = LoadStudyText(kStudy, "s.textproto");
    ASSERT_OK(study);
    study_ = *std::move(study);
    ASSERT_OK(StateDataFacts(absl::MakeSpan(study_.cells.cells)));
  }

  StudyRunner::Options OptionsOf(int threads = 1) {
    StudyRunner::Options options;
    options.folder = folder_;
    options.threads = threads;
    if (threads > 1) return options;
    options.on_change = [this](size_t cell, const CellState& state) {
      if (state.kind == CellState::kRunning) ran_.push_back(cell);
    };
    return options;
  }
  std::string Numbers(const std::vector<CellState>& states) {
    auto results = ReadStudyResults(study_, folder_, states);
    EXPECT_OK(results);
    return StudyCsv(*results);
  }

  std::string folder_;
  Study study_;
  std::vector<size_t> ran_;
};

TEST_F(StudyRunnerTest, RunsEveryCellOnceAndAgainOnlyWhatHasChanged) {
  {
    StudyRunner runner(study_.cells.cells, OptionsOf());
    runner.Run();
    EXPECT_EQ(ran_.size(), 4);
    for (const CellState& state : runner.states()) {
      EXPECT_EQ(state.kind, CellState::kFinished) << state.reason;
      EXPECT_FALSE(state.reused);
    }
    EXPECT_EQ(runner.Remaining(), absl::ZeroDuration());
  }
  ran_.clear();
  {
    StudyRunner runner(study_.cells.cells, OptionsOf());
    runner.Run();
    EXPECT_THAT(ran_, IsEmpty());
    EXPECT_TRUE(runner.states()[0].reused);
  }
  study_.cells.cells[1].config.mutable_stop()->set_rounds(25);
  StudyRunner runner(study_.cells.cells, OptionsOf());
  runner.Run();
  EXPECT_THAT(ran_, ElementsAre(1));
  EXPECT_EQ(runner.states()[1].rounds, 25);
}

TEST_F(StudyRunnerTest, AnInterruptedStudyGoesOnAndEndsWithTheSameNumbers) {
  std::string whole;
  {
    StudyRunner runner(study_.cells.cells, OptionsOf(2));
    runner.Run();
    whole = Numbers(runner.states());
  }
  std::filesystem::remove_all(folder_);
  {
    StudyRunner::Options options = OptionsOf();
    StudyRunner* self = nullptr;
    // In the midst of the second cell.
    options.on_change = [&](size_t cell, const CellState& state) {
      if (cell == 1 && state.kind == CellState::kRunning) self->Stop();
    };
    StudyRunner runner(study_.cells.cells, std::move(options));
    self = &runner;
    runner.Run();
    EXPECT_TRUE(runner.stopping());
    EXPECT_EQ(runner.states()[0].kind, CellState::kFinished);
    EXPECT_EQ(runner.states()[1].kind, CellState::kStopped);
    EXPECT_LT(runner.states()[1].rounds, 20);
    EXPECT_EQ(runner.states()[2].kind, CellState::kWaiting);
    // A report of what there is.
    const auto results = ReadStudyResults(study_, folder_, runner.states());
    ASSERT_OK(results);
    EXPECT_THAT(results->notes[0], HasSubstr("3 of 4 cells are still to be"));
  }
  StudyRunner runner(study_.cells.cells, OptionsOf());
  runner.Run();
  EXPECT_THAT(ran_, ElementsAre(1, 2, 3));
  EXPECT_EQ(Numbers(runner.states()), whole);
}

// Of a first round that would take hours there is a guess, and an end.
TEST_F(StudyRunnerTest, ALongRoundIsBrokenOff) {
  study_.cells.cells[0].config.mutable_local()->mutable_gd()->set_steps(
      1'000'000'000'000);
  StudyRunner::Options options = OptionsOf();
  std::vector<std::string> said;
  options.say = [&said](const std::string& text) { said.push_back(text); };
  StudyRunner runner(study_.cells.cells, std::move(options));
  std::thread running([&runner] { runner.Run(); });
  while (runner.Remaining() == absl::ZeroDuration()) std::this_thread::yield();
  EXPECT_EQ(runner.states()[0].rounds, 0);
  EXPECT_GT(runner.states()[0].share, 0);
  EXPECT_LT(runner.states()[0].share, 1);
  runner.Stop();
  running.join();
  EXPECT_EQ(runner.states()[0].kind, CellState::kStopped);
  EXPECT_EQ(runner.states()[0].reason, "interrupted");
  EXPECT_EQ(runner.states()[1].kind, CellState::kWaiting);
  EXPECT_THAT(said, IsEmpty());
}

TEST_F(StudyRunnerTest, ACellThatFailsIsToldAndRunAgain) {
  // No client can answer in so short a time.
  study_.cells.cells[2].config.mutable_cohort()->set_deadline_seconds(1e-6);
  for (int turn = 0; turn < 2; ++turn) {
    ran_.clear();
    StudyRunner runner(study_.cells.cells, OptionsOf());
    runner.Run();
    EXPECT_EQ(ran_.size(), turn == 0 ? 4 : 1);
    EXPECT_EQ(runner.states()[2].kind, CellState::kFailed);
    EXPECT_EQ(runner.states()[3].kind, CellState::kFinished);
    const auto results = ReadStudyResults(study_, folder_, runner.states());
    ASSERT_OK(results);
    EXPECT_THAT(results->verdict[0],
                HasSubstr("Failed: local_gd-L5-fixed0.1 ("));
  }
}

TEST_F(StudyRunnerTest, CostGrowsWithStepsAndRounds) {
  EXPECT_LT(CostOf(study_.cells.cells[0].config),
            CostOf(study_.cells.cells[2].config));
  v1::RunConfig more = study_.cells.cells[0].config;
  more.mutable_stop()->set_rounds(40);
  EXPECT_EQ(CostOf(more), 2 * CostOf(study_.cells.cells[0].config));
}

}  // namespace
}  // namespace parley
