// The life of a local run, with scripts in place of the programs.
#include "tools/cli/local_run.h"

#include <signal.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/cli/temp_folder.h"
#include "tools/sim/client_name.h"

namespace parley {
namespace {

// Says an address where nobody listens. The descriptor is the value of
// --ready-fd, the eighth argument.
constexpr char kReady[] = "echo 127.0.0.1:1 >/dev/fd/$8\n";

class LocalRunTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.run_file = "demo.textproto";
    options_.folder = temp_.path();
    options_.clients = 2;
    out_ = open_memstream(&text_, &size_);
  }
  void TearDown() override {
    std::fclose(out_);
    std::free(text_);
  }

  absl::Status Run(const std::string& server, const std::string& client) {
    options_.server = temp_.WriteScript("parley-server", server);
    options_.client = {temp_.WriteScript("parley-client", client)};
    ProgressPrinter printer(out_, false, 80);
    return LocalRun(options_, &printer).Run();
  }
  std::string Said() {
    std::fflush(out_);
    return std::string(text_, size_);
  }

  TempFolder temp_;
  LocalRun::Options options_;
  std::FILE* out_ = nullptr;
  char* text_ = nullptr;
  size_t size_ = 0;
};

TEST(ClientNameTest, IsPadded) {
  EXPECT_EQ(ClientNameOf(0, 10), "client-0001");
  EXPECT_EQ(ClientNameOf(9998, 9999), "client-9999");
  EXPECT_EQ(ClientNameOf(0, 10000), "client-00001");
}

TEST_F(LocalRunTest, StartsAllAndWaitsForTheirEnd) {
  options_.sets = {"seed=2", "stop.rounds=3"};
  // The server ends once both clients have left their mark.
  ASSERT_OK(
      Run(absl::StrCat("echo \"$@\"\n", kReady, "cd ", temp_.path(),
                       "\nwhile [ ! -e 1 ] || [ ! -e 2 ]; do :; done\n"),
          absl::StrCat("echo \"$@\"\ncd ", temp_.path(),
                       "\ncase $4 in *1) touch 1;; *) touch 2;; esac\n")));
  EXPECT_THAT(temp_.Read("server.log"),
              testing::MatchesRegex(absl::StrCat(
                  "--run demo.textproto --dir ", temp_.path(),
                  " --listen 127.0.0.1:0 --ready-fd [0-9]+ --set seed=2 "
                  "--set stop.rounds=3\n")));
  EXPECT_EQ(temp_.Read("client-0001.log"),
            "--server 127.0.0.1:1 --name client-0001 --data part:0\n");
  EXPECT_EQ(temp_.Read("client-0002.log"),
            "--server 127.0.0.1:1 --name client-0002 --data part:1\n");
  EXPECT_EQ(Said(), "");
}

TEST_F(LocalRunTest, TellsOfAServerThatDoesNotStart) {
  const absl::Status status = Run("echo no such file; exit 1\n", "exit 0\n");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal,
                               "the coordinator exited with code 1"));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal, "no such file"));
}

TEST_F(LocalRunTest, TellsOfAServerThatDies) {
  EXPECT_THAT(Run(absl::StrCat(kReady, "echo last words; kill -KILL $$\n"),
                  "exec sleep 1000\n"),
              StatusIs(absl::StatusCode::kInternal,
                       "the coordinator was killed by signal 9"));
}

TEST_F(LocalRunTest, AClientThatDiesIsToldOfAndTheRunGoesOn) {
  // The second client ends once the first was reaped, and the server after it.
  const std::string pid = temp_.Path("pid"), done = temp_.Path("done");
  ASSERT_OK(
      Run(absl::StrCat(kReady, "while [ ! -e ", done, " ]; do :; done\n"),
          absl::StrCat("case $4 in *1) echo $$ >", pid,
                       "; echo oops; exit 3;; esac\n", "while [ ! -s ", pid,
                       " ]; do :; done\n", "while kill -0 $(cat ", pid,
                       ") 2>/dev/null; do :; done\n", "touch ", done, "\n")));
  EXPECT_THAT(Said(), testing::HasSubstr("client-0001 exited with code 3"));
  EXPECT_THAT(Said(), testing::HasSubstr("oops"));
}

TEST_F(LocalRunTest, StopsAServerThatHasNoClientsLeft) {
  options_.orphan_grace = absl::Milliseconds(50);
  EXPECT_THAT(
      Run(absl::StrCat("trap 'exit 0' TERM\n", kReady, "while :; do :; done\n"),
          "exit 1\n"),
      StatusIs(absl::StatusCode::kAborted, "every client ended before it"));
  EXPECT_THAT(Said(), testing::HasSubstr("no client is left"));
}

TEST_F(LocalRunTest, KillsAServerThatDoesNotStop) {
  options_.orphan_grace = absl::Milliseconds(50);
  options_.stop_grace = absl::Milliseconds(50);
  EXPECT_THAT(
      Run(absl::StrCat("trap '' TERM\n", kReady, "while :; do :; done\n"),
          "exit 1\n"),
      StatusIs(absl::StatusCode::kInternal, "was killed"));
}

TEST_F(LocalRunTest, AnInterruptStopsTheServerAndThenTheClients) {
  options_.leave_grace = absl::Milliseconds(50);
  // The first client interrupts its parent; none leaves by itself.
  ASSERT_OK(Run(absl::StrCat("trap 'echo told; exit 0' TERM\n", kReady,
                             "while :; do :; done\n"),
                "case $4 in *1) kill -INT $PPID;; esac\nexec sleep 1000\n"));
  EXPECT_EQ(temp_.Read("server.log"), "told\n");
  EXPECT_THAT(Said(), testing::HasSubstr("stopping the run"));
}

TEST_F(LocalRunTest, ASecondInterruptKills) {
  EXPECT_THAT(Run(absl::StrCat("trap 'kill -INT $PPID' TERM\n", kReady,
                               "while :; do :; done\n"),
                  "case $4 in *1) kill -INT $PPID;; esac\nexec sleep 1000\n"),
              StatusIs(absl::StatusCode::kInternal, "was killed"));
}

TEST_F(LocalRunTest, AnInterruptBeforeTheServerIsReady) {
  EXPECT_THAT(Run("kill -TERM $PPID\nexec sleep 1000\n", "exit 0\n"),
              StatusIs(absl::StatusCode::kAborted, "interrupted"));
}

}  // namespace
}  // namespace parley
