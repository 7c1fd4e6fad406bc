#include "tools/cli/local_run.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "client/rpc/admin_client.h"
#include "common/base/executor.h"
#include "common/base/status_macros.h"
#include "server/http/http_server.h"
#include "server/store/run_store.h"
#include "tools/cli/run_folder.h"
#include "tools/sim/client_name.h"

namespace parley {
namespace {

constexpr size_t kServer = 0;  // the first child
constexpr int kTailLines = 8;
constexpr absl::Duration kAnswerTimeout = absl::Seconds(3);

// Closes a descriptor once.
class OwnedFd {
 public:
  explicit OwnedFd(int fd) : fd_(fd) {}
  ~OwnedFd() { Close(); }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

std::string Tail(const std::string& log) {
  const std::string lines = LastLines(log, kTailLines);
  if (lines.empty()) return absl::StrCat("; ", log, " is empty");
  return absl::StrCat("; the end of ", log, ":\n",
                      absl::StripSuffix(lines, "\n"));
}

}  // namespace

absl::Status LocalRun::Run() {
  PARLEY_ASSIGN_OR_RETURN(children_, Supervisor::Create());
  const absl::StatusOr<std::string> address = StartServer();
  if (!address.ok()) return address.status();
  if (!options_.live_run.empty()) TellLivePage();
  PARLEY_RETURN_IF_ERROR(StartClients(*address));
  int server_status = 0;
  bool ended = false;
  {
    PARLEY_ASSIGN_OR_RETURN(const auto admin,
                            AdminClient::Create(*address, {}, kAnswerTimeout));
    // Joined once the coordinator is gone, which ends the watching.
    ThreadPool watcher(1);
    watcher.Post([&] {
      const absl::Status watched =
          admin->Watch("", [&](const v1::RunStatus& status) {
            printer_->Update(status);
            run_ended_ = HasEnded(status.state());
            return !run_ended_;
          });
      (void)watched;  // Supervise sees what becomes of the coordinator
    });
    ended = Supervise(*admin, &server_status);
    // Clients of a coordinator that was killed would look for it for long.
    if (ended && !WIFSIGNALED(server_status)) WaitForClients();
    children_->StopAll(ended ? absl::Seconds(3) : absl::ZeroDuration());
  }
  children_.reset();
  TellOfLostClients();  // the watcher has seen the end by now
  if (!ended) {
    return absl::InternalError(absl::StrCat(
        "the coordinator did not end when it was told to, and was killed",
        Tail(LogOf(kServer))));
  }
  if (WIFSIGNALED(server_status)) {
    return absl::InternalError(absl::StrCat(
        "the coordinator ", DescribeExit(server_status), Tail(LogOf(kServer))));
  }
  if (abandoned_) {
    return absl::AbortedError(
        "the run had to be stopped: every client ended before it, for reasons "
        "above");
  }
  return absl::OkStatus();
}

std::string LocalRun::LogOf(size_t child) const {
  return absl::StrCat(options_.folder, "/", names_[child], ".log");
}

absl::StatusOr<std::string> LocalRun::StartServer() {
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make a pipe");
  }
  OwnedFd read_end(ready[0]), write_end(ready[1]);
  names_.push_back("server");
  std::vector<std::string> argv = {options_.server,
                                   "--run",
                                   options_.run_file,
                                   "--dir",
                                   options_.folder,
                                   "--listen",
                                   absl::StrCat("127.0.0.1:", options_.port),
                                   "--ready-fd",
                                   absl::StrCat(ready[1])};
  if (!options_.live_run.empty()) {
    argv.insert(argv.end(), {"--http", "127.0.0.1:0"});
  }
  for (const std::string& set : options_.sets) {
    argv.insert(argv.end(), {"--set", set});
  }
  PARLEY_RETURN_IF_ERROR(
      children_
          ->Start({"parley-server", std::move(argv), LogOf(kServer), ready[1]})
          .status());
  write_end.Close();
  std::string line;
  while (!absl::EndsWith(line, "\n")) {
    const Supervisor::Event event =
        children_->Wait(absl::InfiniteDuration(), ready[0]);
    if (event.kind == Supervisor::Event::kSignal) {
      return absl::AbortedError("interrupted before the run began");
    }
    char c;
    const bool exited = event.kind == Supervisor::Event::kExited;
    if (!exited && read(ready[0], &c, 1) == 1) {
      line += c;
      continue;
    }
    // It has closed its end without a word.
    int status = event.status;
    if (!exited) {
      const Supervisor::Event end = children_->Wait(options_.stop_grace);
      if (end.kind != Supervisor::Event::kExited) {
        return absl::InternalError("the coordinator does not say its address");
      }
      status = end.status;
    }
    return absl::InternalError(absl::StrCat(
        "the coordinator ", DescribeExit(status), Tail(LogOf(kServer))));
  }
  line.pop_back();
  return line;
}

// The coordinator has written where before it said that it listens.
void LocalRun::TellLivePage() {
  const std::string address =
      LastLines(absl::StrCat(options_.folder, "/", kHttpAddressFile), 1);
  printer_->Say(absl::StrCat("live at http://",
                             absl::StripSuffix(address, "\n"), "/run/",
                             options_.live_run));
}

absl::Status LocalRun::StartClients(const std::string& address) {
  for (int i = 0; i < options_.clients; ++i) {
    names_.push_back(ClientNameOf(i, options_.clients));
    std::vector<std::string> argv = options_.client;
    argv.insert(argv.end(),
                {"--server", address, "--name", names_.back(), "--data",
                 options_.parts ? absl::StrCat("part:", i)
                                : absl::StrCat(i, "/", options_.clients)});
    // The parameters do not come by way of the coordinator, and whoever is left
    // at the end has the average.
    if (options_.gossip) {
      argv.insert(argv.end(), {"--save-model",
                               absl::StrCat(options_.folder, "/", kModelFile)});
    }
    PARLEY_RETURN_IF_ERROR(
        children_
            ->Start({names_.back(), std::move(argv), LogOf(names_.size() - 1)})
            .status());
  }
  return absl::OkStatus();
}

bool LocalRun::Supervise(AdminClient& admin, int* server_status) {
  absl::Time deadline = absl::InfiniteFuture();
  bool stopping = false;
  const auto stop = [&](absl::string_view say, const std::string& reason) {
    printer_->Say(say);
    stopping = true;
    Stop(admin, reason);
    deadline = absl::Now() + options_.stop_grace;
  };
  while (true) {
    const Supervisor::Event event =
        children_->Wait(std::min(deadline, tell_at_) - absl::Now());
    switch (event.kind) {
      case Supervisor::Event::kExited:
        if (event.child == kServer) {
          *server_status = event.status;
          return true;
        }
        if (!stopping) NoteClient(event);
        if (children_->running() == 1 && !stopping) {
          deadline = absl::Now() + (client_failed_ ? options_.orphan_grace
                                                   : options_.finish_grace);
        }
        break;
      case Supervisor::Event::kSignal:
        if (stopping) return false;
        stop("stopping the run; once more kills it",
             event.signal == SIGINT
                 ? "stopped by Ctrl-C"
                 : absl::StrCat("stopped by signal ", event.signal));
        break;
      case Supervisor::Event::kTimeout:
        if (absl::Now() >= tell_at_) TellOfLostClients();
        if (absl::Now() < deadline) break;
        if (stopping) return false;
        abandoned_ = true;
        stop("no client is left; stopping the run", "no client was left");
        break;
      case Supervisor::Event::kReadable:
        break;
    }
  }
}

void LocalRun::Stop(AdminClient& admin, const std::string& reason) {
  if (!admin.Stop("", reason).ok()) children_->Signal(kServer, SIGTERM);
}

void LocalRun::NoteClient(const Supervisor::Event& event) {
  if (event.status == 0) return;
  client_failed_ = true;
  lost_.push_back(absl::StrCat(names_[event.child], " ",
                               DescribeExit(event.status),
                               Tail(LogOf(event.child))));
  tell_at_ = std::min(tell_at_, absl::Now() + options_.tell_after);
}

void LocalRun::TellOfLostClients() {
  if (!run_ended_) {
    for (const std::string& text : lost_) printer_->Say(text);
  }
  lost_.clear();
  tell_at_ = absl::InfiniteFuture();
}

void LocalRun::WaitForClients() {
  const absl::Time deadline = absl::Now() + options_.leave_grace;
  while (children_->running() > 0) {
    const Supervisor::Event event = children_->Wait(deadline - absl::Now());
    if (event.kind != Supervisor::Event::kExited) return;
  }
}

}  // namespace parley
