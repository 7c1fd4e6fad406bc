#include "common/base/stop_signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "common/base/log.h"

namespace parley {

StopSignals::StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  PARLEY_CHECK(pthread_sigmask(SIG_BLOCK, &signals, &before_) == 0);
  signal_fd_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  PARLEY_CHECK(signal_fd_ >= 0 && wake_fd_ >= 0);
}

StopSignals::~StopSignals() {
  close(signal_fd_);
  close(wake_fd_);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

int StopSignals::Wait(absl::Duration timeout) {
  const auto begin = std::chrono::steady_clock::now();
  while (true) {
    pollfd fds[] = {{signal_fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
    const absl::Duration left =
        timeout - absl::FromChrono(std::chrono::steady_clock::now() - begin);
    int64_t ms = -1;
    if (timeout != absl::InfiniteDuration()) {
      // Rounded up, or the last bit would be waited for busily.
      ms = std::max<int64_t>(
          absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))),
          0);
    }
    const int ready =
        poll(fds, 2, static_cast<int>(std::min<int64_t>(ms, 1 << 30)));
    signalfd_siginfo info;
    if (read(signal_fd_, &info, sizeof(info)) == sizeof(info)) {
      return static_cast<int>(info.ssi_signo);
    }
    uint64_t count;
    if (read(wake_fd_, &count, sizeof(count)) == sizeof(count)) return 0;
    if (ready == 0 && ms >= 0 && ms <= 1 << 30) return 0;
  }
}

void StopSignals::Wake() {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then there is a wake already.
  [[maybe_unused]] const auto written = write(wake_fd_, &one, sizeof(one));
}

}  // namespace parley
