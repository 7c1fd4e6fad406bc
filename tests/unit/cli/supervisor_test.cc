#include "tools/cli/supervisor.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/cli/temp_folder.h"

namespace parley {
namespace {

constexpr absl::Duration kLong = absl::Seconds(60);

class SupervisorTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(supervisor_, Supervisor::Create());
  }

  absl::StatusOr<size_t> Shell(const std::string& script, int keep_fd = -1) {
    return supervisor_->Start(
        {"child", {"/bin/sh", "-c", script}, folder_.Path("log"), keep_fd});
  }

  // A pipe whose read end waits until nobody holds the write end any more.
  void MakePipe() {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    read_ = ends[0];
    write_ = ends[1];
  }
  void TearDown() override {
    supervisor_.reset();
    if (read_ >= 0) close(read_);
    if (write_ >= 0) close(write_);
  }

  TempFolder folder_;
  std::unique_ptr<Supervisor> supervisor_;
  int read_ = -1;
  int write_ = -1;
};

TEST_F(SupervisorTest, TellsHowAChildEnded) {
  ASSERT_OK(Shell("echo out; echo err >&2; exit 7"));
  Supervisor::Event event = supervisor_->Wait(kLong);
  ASSERT_EQ(event.kind, Supervisor::Event::kExited);
  EXPECT_EQ(event.child, 0u);
  EXPECT_EQ(DescribeExit(event.status), "exited with code 7");
  EXPECT_EQ(folder_.Read("log"), "out\nerr\n");
  EXPECT_FALSE(supervisor_->running(0));

  ASSERT_OK(Shell("kill -SEGV $$"));
  event = supervisor_->Wait(kLong);
  ASSERT_EQ(event.kind, Supervisor::Event::kExited);
  EXPECT_EQ(event.child, 1u);
  EXPECT_EQ(DescribeExit(event.status),
            "was killed by signal 11 (Segmentation fault)");
}

TEST_F(SupervisorTest, SaysWhatCannotBeStarted) {
  EXPECT_THAT(
      supervisor_->Start({"ghost", {"/no/such/program"}, folder_.Path("log")}),
      StatusIs(absl::StatusCode::kNotFound,
               "cannot start ghost: /no/such/program"));
  EXPECT_THAT(supervisor_->Start({"sh", {"/bin/sh"}, "/no/such/folder/log"}),
              StatusIs(absl::StatusCode::kNotFound, "/no/such/folder/log"));
  EXPECT_EQ(supervisor_->running(), 0u);
  EXPECT_EQ(supervisor_->Wait(absl::ZeroDuration()).kind,
            Supervisor::Event::kTimeout);
}

TEST_F(SupervisorTest, HandsADescriptorOnAndTellsWhenItCanBeRead) {
  MakePipe();
  ASSERT_OK(
      Shell(absl::StrCat("echo ready >/dev/fd/", write_, "; exec sleep 1000"),
            write_));
  ASSERT_EQ(supervisor_->Wait(kLong, read_).kind, Supervisor::Event::kReadable);
  char text[6];
  ASSERT_EQ(read(read_, text, sizeof(text)), 6);
  EXPECT_EQ(std::string(text, 6), "ready\n");
  EXPECT_EQ(supervisor_->Wait(absl::ZeroDuration(), read_).kind,
            Supervisor::Event::kTimeout);
}

TEST_F(SupervisorTest, ChildrenHaveNoInputAndAGroupOfTheirOwn) {
  ASSERT_OK(Shell("read x || echo empty; ps -o pgid= -p $$; echo $$"));
  ASSERT_EQ(supervisor_->Wait(kLong).kind, Supervisor::Event::kExited);
  int group = 0, pid = 0;
  ASSERT_EQ(sscanf(folder_.Read("log").c_str(), "empty %d %d", &group, &pid),
            2);
  EXPECT_EQ(group, pid);
}

TEST_F(SupervisorTest, TellsOfSignalsToTheParent) {
  ASSERT_OK(Shell("exec sleep 1000"));
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    ASSERT_EQ(kill(getpid(), signal), 0);
    const Supervisor::Event event = supervisor_->Wait(kLong);
    EXPECT_EQ(event.kind, Supervisor::Event::kSignal);
    EXPECT_EQ(event.signal, signal);
  }
  EXPECT_TRUE(supervisor_->running(0));
}

TEST_F(SupervisorTest, StopsWhatIgnoresSigterm) {
  MakePipe();
  ASSERT_OK(Shell(absl::StrCat("trap '' TERM; echo >/dev/fd/", write_,
                               "; while :; do sleep 1000; done"),
                  write_));
  ASSERT_EQ(supervisor_->Wait(kLong, read_).kind, Supervisor::Event::kReadable);
  const absl::Time start = absl::Now();
  supervisor_->StopAll(absl::Milliseconds(200));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(200));
  EXPECT_EQ(supervisor_->running(), 0u);
}

TEST_F(SupervisorTest, StopsAtOnceWhatObeys) {
  ASSERT_OK(Shell("exec sleep 1000"));
  ASSERT_OK(Shell("exec sleep 1000"));
  const absl::Time start = absl::Now();
  supervisor_->StopAll(kLong);
  EXPECT_LT(absl::Now() - start, kLong / 2);
  EXPECT_EQ(supervisor_->running(), 0u);
}

TEST_F(SupervisorTest, LeavesNoneBehindWhenDestroyed) {
  MakePipe();
  ASSERT_OK(Shell("exec sleep 1000", write_));
  close(std::exchange(write_, -1));
  supervisor_.reset();
  char c;
  EXPECT_EQ(read(read_, &c, 1), 0);  // nobody holds the pipe
}

// The children of a parent that had no chance to do anything about them.
TEST(SupervisorParentTest, LeavesNoneBehindWhenKilled) {
  TempFolder folder;
  // A fifo ends its reader's file once no process has it open for writing:
  // neither the children nor what they started.
  const std::string fifo = folder.Path("fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const int reader = open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  ASSERT_EQ(fcntl(reader, F_SETFL, 0), 0);
  // Orphans become ours, so that they can be waited for.
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);

  const pid_t parent = fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    execl(SUPERVISOR_PARENT, SUPERVISOR_PARENT, fifo.c_str(), nullptr);
    _exit(127);
  }
  std::string said;
  char block[64];
  while (std::count(said.begin(), said.end(), '\n') < 2) {
    const ssize_t got = read(reader, block, sizeof(block));
    if (got == 0) continue;  // not opened yet
    ASSERT_GT(got, 0);
    said.append(block, got);
  }
  int first = 0, second = 0;
  ASSERT_EQ(sscanf(said.c_str(), "%d %d", &first, &second), 2);
  ASSERT_EQ(kill(first, 0), 0);
  ASSERT_EQ(kill(second, 0), 0);

  ASSERT_EQ(kill(parent, SIGKILL), 0);
  EXPECT_EQ(read(reader, block, sizeof(block)), 0);  // until all are gone
  for (const pid_t child : {pid_t{first}, pid_t{second}}) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    EXPECT_EQ(kill(child, 0), -1);
    EXPECT_EQ(errno, ESRCH);
  }
  ASSERT_EQ(waitpid(parent, nullptr, 0), parent);
  prctl(PR_SET_CHILD_SUBREAPER, 0);
  close(reader);
}

}  // namespace
}  // namespace parley
