#include "tools/cli/command.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "common/base/flags.h"
#include "common/base/json.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/cli/temp_folder.h"
#include "tools/cli/admin_target.h"

namespace parley {
namespace {

struct Result {
  int code;
  std::string out;
  std::string err;
};

Result Parley(std::vector<const char*> args) {
  args.insert(args.begin(), "parley");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = Main(static_cast<int>(args.size()), args.data());
  Result result{code, testing::internal::GetCapturedStdout(),
                testing::internal::GetCapturedStderr()};
  return result;
}

TEST(CommandTest, HelpListsAllCommands) {
  const Result help = Parley({"--help"});
  EXPECT_EQ(help.code, kExitOk);
  for (const Command& command : Commands()) {
    EXPECT_THAT(help.out, testing::HasSubstr(command.summary));
    const Result own = Parley({command.name, "--help"});
    EXPECT_EQ(own.code, kExitOk) << command.name;
    EXPECT_THAT(own.out, testing::HasSubstr(std::string("Usage: parley ") +
                                            command.name));
  }
  EXPECT_THAT(help.out, testing::HasSubstr("Exit codes:"));
}

TEST(CommandTest, WrongCommandLines) {
  EXPECT_EQ(Parley({}).code, kExitUsage);
  const Result unknown = Parley({"wacth"});
  EXPECT_EQ(unknown.code, kExitUsage);
  EXPECT_THAT(unknown.err, testing::HasSubstr("did you mean watch?"));
  EXPECT_EQ(Parley({"explain"}).code, kExitUsage);
  EXPECT_EQ(Parley({"run", "x", "--prot", "1"}).code, kExitUsage);
  EXPECT_EQ(Parley({"run", "x", "--port", "70000"}).code, kExitUsage);
  EXPECT_EQ(Parley({"run", "/no/such/file"}).code, kExitUsage);
  EXPECT_EQ(Parley({"model", "shwo"}).code, kExitUsage);
}

TEST(CommandTest, Version) {
  EXPECT_THAT(Parley({"version"}).out, testing::HasSubstr(kVersion));
  ASSERT_OK_AND_ASSIGN(const Json json,
                       Json::Parse(Parley({"version", "--json"}).out));
  ASSERT_NE(json.Find("version"), nullptr);
  EXPECT_EQ(*json.Find("version")->AsString(), kVersion);
}

constexpr char kRunFileText[] = R"(
  model { linear_regression {} }
  data {
    train { regression { rows: 100 features: 3 } }
    partition { parts: 4 }
  }
  local { gd { steps: 2 } step_size { initial: 0.1 } }
  stop { rounds: 3 }
)";

TEST(CommandTest, Explain) {
  TempFolder temp;
  const std::string file = temp.Write("demo.textproto", kRunFileText);
  const Result plain = Parley({"explain", file.c_str(), "--set", "seed=77"});
  EXPECT_EQ(plain.code, kExitOk) << plain.err;
  EXPECT_THAT(plain.out, testing::HasSubstr("seed: 77"));
  const Result json = Parley({"explain", file.c_str(), "--json"});
  EXPECT_OK(Json::Parse(json.out));
  const Result wrong =
      Parley({"explain", file.c_str(), "--set", "stop.rounds=0"});
  EXPECT_EQ(wrong.code, kExitUsage);
  EXPECT_THAT(wrong.err, testing::HasSubstr("stop.rounds"));
}

TEST(CommandTest, LsOfNothing) {
  TempFolder temp;
  const Result empty = Parley({"ls", temp.path().c_str()});
  EXPECT_EQ(empty.code, kExitOk);
  EXPECT_THAT(empty.out, testing::HasSubstr("no runs in"));
  EXPECT_EQ(Parley({"ls", temp.Path("none").c_str()}).code, kExitFailed);
}

TEST(CommandTest, WatchAndStopWithoutACoordinator) {
  TempFolder temp;
  for (const char* command : {"watch", "stop"}) {
    const Result gone = Parley({command, temp.path().c_str()});
    EXPECT_EQ(gone.code, kExitFailed);
    EXPECT_THAT(gone.err, testing::HasSubstr("no run in"));
    const Result none = Parley({command, temp.Path("none").c_str()});
    EXPECT_EQ(none.code, kExitFailed);
    EXPECT_THAT(none.err, testing::HasSubstr("neither"));
  }
}

TEST(AdminTargetTest, AFolderSaysItsAddressWhileItsCoordinatorLives) {
  TempFolder temp;
  EXPECT_EQ(TargetOf("host:1")->address, "host:1");
  EXPECT_THAT(TargetOf(temp.path()),
              StatusIs(absl::StatusCode::kNotFound, "no run"));
  temp.Write("journal", "");
  temp.Write("address", "127.0.0.1:4711\n");
  // Left by one that was killed.
  EXPECT_THAT(TargetOf(temp.path()),
              StatusIs(absl::StatusCode::kFailedPrecondition, "--resume"));
  const int fd = open(temp.path().c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(TargetOf(temp.path())->address, "127.0.0.1:4711");
  close(fd);
}

}  // namespace
}  // namespace parley
