#include "tools/cli/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace parley {
namespace {

constexpr absl::Duration kGrace = absl::Seconds(3);

// Between fork and exec: nothing here takes a lock or memory. Does not return.
[[noreturn]] void RunChild(char* const* argv, pid_t parent, int log, int null,
                           int keep_fd, int error_fd, const sigset_t& mask) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before.
  if (getppid() != parent) _exit(127);
  setpgid(0, 0);
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  if (keep_fd >= 0) fcntl(keep_fd, F_SETFD, 0);
  execv(argv[0], argv);
  const int error = errno;
  [[maybe_unused]] const auto written = write(error_fd, &error, sizeof(error));
  _exit(127);
}

absl::Status Errno(int error, const Supervisor::Child& child,
                   const std::string& path) {
  return absl::ErrnoToStatus(
      error, absl::StrCat("cannot start ", child.name, ": ", path));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Supervisor>> Supervisor::Create() {
  sigset_t mask, old_mask;
  sigemptyset(&mask);
  for (const int s : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&mask, s);
  const int fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot watch for signals");
  sigprocmask(SIG_BLOCK, &mask, &old_mask);
  return absl::WrapUnique(new Supervisor(fd, old_mask));
}

Supervisor::~Supervisor() {
  StopAll(kGrace);
  close(signal_fd_);
  sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
}

absl::StatusOr<size_t> Supervisor::Start(const Child& child) {
  std::vector<char*> argv;
  for (const std::string& arg : child.argv) {
    argv.push_back(const_cast<char*>(arg.c_str()));
  }
  argv.push_back(nullptr);
  const int log =
      open(child.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) return Errno(errno, child, child.log);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  int errors[2];  // closed by a successful exec, else says why not
  if (null < 0 || pipe2(errors, O_CLOEXEC) != 0) {
    const int error = errno;
    close(log);
    if (null >= 0) close(null);
    return Errno(error, child, child.argv[0]);
  }
  const pid_t parent = getpid();
  const pid_t pid = fork();
  int error = pid < 0 ? errno : 0;
  if (pid == 0) {
    RunChild(argv.data(), parent, log, null, child.keep_fd, errors[1],
             old_mask_);
  }
  close(log);
  close(null);
  close(errors[1]);
  if (pid > 0) {
    setpgid(pid, pid);  // the child does so too: whoever is first
    if (read(errors[0], &error, sizeof(error)) == sizeof(error)) {
      waitpid(pid, nullptr, 0);
    }
  }
  close(errors[0]);
  if (error != 0) return Errno(error, child, child.argv[0]);
  pids_.push_back(pid);
  return pids_.size() - 1;
}

Supervisor::Event Supervisor::Wait(absl::Duration timeout, int fd) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    Event event;
    for (size_t i = 0; i < pids_.size(); ++i) {
      if (!running(i) || waitpid(pids_[i], &event.status, WNOHANG) <= 0) {
        continue;
      }
      pids_[i] = 0;
      event.kind = Event::kExited;
      event.child = i;
      return event;
    }
    pollfd polled[2] = {{signal_fd_, POLLIN, 0}, {fd, POLLIN, 0}};
    const absl::Duration left = std::clamp(
        deadline - absl::Now(), absl::ZeroDuration(), absl::Hours(1));
    // Rounded up, not to spin through the last millisecond.
    const int ms = static_cast<int>(
        absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))));
    const int ready = poll(polled, 2, ms);
    if (ready < 0) continue;  // a signal that is not ours
    signalfd_siginfo info;
    if (read(signal_fd_, &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo == SIGCHLD) continue;
      event.kind = Event::kSignal;
      event.signal = static_cast<int>(info.ssi_signo);
      return event;
    }
    if (polled[1].revents != 0) {
      event.kind = Event::kReadable;
      return event;
    }
    if (absl::Now() >= deadline) return event;
  }
}

void Supervisor::Signal(size_t child, int signal) {
  if (running(child)) kill(-pids_[child], signal);
}

size_t Supervisor::running() const {
  return pids_.size() - std::count(pids_.begin(), pids_.end(), 0);
}

void Supervisor::StopAll(absl::Duration grace) {
  const absl::Time deadline = absl::Now() + grace;
  for (size_t i = 0; i < pids_.size(); ++i) Signal(i, SIGTERM);
  while (running() > 0 && absl::Now() < deadline) {
    Wait(deadline - absl::Now());
  }
  for (size_t i = 0; i < pids_.size(); ++i) Signal(i, SIGKILL);
  while (running() > 0) Wait(absl::InfiniteDuration());
}

std::string DescribeExit(int status) {
  if (WIFSIGNALED(status)) {
    return absl::StrCat("was killed by signal ", WTERMSIG(status), " (",
                        strsignal(WTERMSIG(status)), ")");
  }
  return absl::StrCat("exited with code ", WEXITSTATUS(status));
}

}  // namespace parley
