#include "server/host/queue_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/config/load.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kRun[] =
    "model { custom { name: 'm' spec { tensors { name: 'w' shape: 3 } } } }\n"
    "start { zeros {} } cohort { min: 1 } stop { rounds: 1 }";

class QueueFolderTest : public ::testing::Test {
 protected:
  QueueFolderTest() {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::path(::testing::TempDir()) /
            (std::string("parley_queue_") + info->name());
    std::filesystem::remove_all(path_);
  }
  ~QueueFolderTest() override { std::filesystem::remove_all(path_); }

  static v1::RunConfig Config(const std::string& name) {
    return *LoadRunText(kRun, "/" + name + ".textproto");
  }
  static std::vector<std::string> NamesOf(
      const std::vector<v1::RunConfig>& runs) {
    std::vector<std::string> names;
    for (const v1::RunConfig& run : runs) names.push_back(run.name());
    return names;
  }

  static bool NoneIsKnown(const std::string&) { return false; }

  std::filesystem::path path_;
};

TEST_F(QueueFolderTest, KeepsRunsInTheirOrder) {
  {
    ASSERT_OK_AND_ASSIGN(const auto folder, QueueFolder::Open(path_));
    ASSERT_OK_AND_ASSIGN(const auto none, folder->Unfinished());
    EXPECT_THAT(none, IsEmpty());
    std::vector<std::string> names;
    for (const char* name : {"b", "a", "b"}) {
      v1::RunConfig config = Config(name);
      ASSERT_OK(folder->Add(&config, NoneIsKnown));
      names.push_back(config.name());
    }
    EXPECT_THAT(names, ElementsAre("b-1", "a-1", "b-2"));
    ASSERT_OK(folder->Save(names));
    EXPECT_THAT(QueueFolder::Open(path_),
                StatusIs(absl::StatusCode::kFailedPrecondition, "another"));
  }
  ASSERT_OK_AND_ASSIGN(const auto folder, QueueFolder::Open(path_));
  ASSERT_OK_AND_ASSIGN(auto runs, folder->Unfinished());
  EXPECT_THAT(NamesOf(runs), ElementsAre("b-1", "a-1", "b-2"));
  EXPECT_EQ(PrintRun(runs[1]).find("name: \"a-1\""), 0);

  v1::RunStatus status;
  status.set_run("a-1");
  status.set_state(v1::STOPPED);
  ASSERT_OK(folder->WriteEnd(status));
  std::ofstream(path_ / "b-1" / "run.textproto") << "what";
  ASSERT_OK_AND_ASSIGN(runs, folder->Unfinished());
  EXPECT_THAT(NamesOf(runs), ElementsAre("b-2"));
}

TEST_F(QueueFolderTest, GivesNoNameTwice) {
  ASSERT_OK_AND_ASSIGN(const auto folder, QueueFolder::Open(path_));
  v1::RunConfig config = Config("a");
  ASSERT_OK(folder->Add(&config, [](const std::string& name) {
    return name == "a-1" || name == "a-2";  // whose folders were removed
  }));
  EXPECT_EQ(config.name(), "a-3");
  EXPECT_FALSE(std::filesystem::exists(path_ / "a-1"));
}

TEST_F(QueueFolderTest, TrustsNoNameBlindly) {
  ASSERT_OK_AND_ASSIGN(const auto folder, QueueFolder::Open(path_));
  v1::RunConfig config = Config(std::string(59, 'x'));
  EXPECT_THAT(folder->Add(&config, NoneIsKnown),
              StatusIs(absl::StatusCode::kInvalidArgument, "58"));
  config = Config(std::string(58, 'x'));
  EXPECT_OK(folder->Add(&config, NoneIsKnown));
  ASSERT_OK(folder->Save({"../x"}));
  EXPECT_THAT(folder->Unfinished(),
              StatusIs(absl::StatusCode::kInvalidArgument, "no run's folder"));
}

}  // namespace
}  // namespace parley
