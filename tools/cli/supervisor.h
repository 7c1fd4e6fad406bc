// Child processes that never outlive their parent.
#ifndef PARLEY_TOOLS_CLI_SUPERVISOR_H_
#define PARLEY_TOOLS_CLI_SUPERVISOR_H_

#include <signal.h>
#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace parley {

// Starts and watches children. Each has a process group of its own, so that a
// Ctrl-C on the terminal reaches the parent alone, and is killed by the kernel
// when the parent dies, however it does.
//
// From Create to destruction SIGINT, SIGTERM, SIGHUP and SIGCHLD are blocked
// and told by Wait instead. One at a time in a process; Create, Start and the
// destructor on the main thread, before other threads start and after they
// ended.
class Supervisor {
 public:
  struct Child {
    std::string name;               // for errors
    std::vector<std::string> argv;  // argv[0] is the program's path
    std::string log;   // file that its outputs are appended to; input is empty
    int keep_fd = -1;  // a descriptor that it gets as it is, or -1
  };

  struct Event {
    enum Kind { kExited, kSignal, kReadable, kTimeout };
    Kind kind = kTimeout;
    size_t child = 0;  // kExited: as Start numbered it
    int status = 0;    // kExited: as waitpid gives it
    int signal = 0;    // kSignal: of SIGINT, SIGTERM, SIGHUP
  };

  static absl::StatusOr<std::unique_ptr<Supervisor>> Create();
  // As StopAll.
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Numbers children from 0. Any code of the system: the program cannot be run,
  // or its log not be written.
  absl::StatusOr<size_t> Start(const Child& child);

  // The next event; kReadable once `fd`, unless -1, can be read from. Exits are
  // told before anything else, and once each.
  Event Wait(absl::Duration timeout, int fd = -1);

  // To the child and what it started. Nothing where it has exited.
  void Signal(size_t child, int signal);

  bool running(size_t child) const { return pids_[child] != 0; }
  size_t running() const;  // how many

  // Ends all that still run: SIGTERM, and SIGKILL after `grace`. Returns when
  // none is left.
  void StopAll(absl::Duration grace);

 private:
  Supervisor(int signal_fd, const sigset_t& old_mask)
      : signal_fd_(signal_fd), old_mask_(old_mask) {}

  const int signal_fd_;
  const sigset_t old_mask_;
  std::vector<pid_t> pids_;  // 0: has exited
};

// "exited with code 1", "was killed by signal 9 (Killed)".
std::string DescribeExit(int status);

}  // namespace parley

#endif  // PARLEY_TOOLS_CLI_SUPERVISOR_H_
