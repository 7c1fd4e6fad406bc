#include "common/base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace parley {
namespace {

std::atomic<int> log_fd = STDERR_FILENO;

}  // namespace

void Log(LogLevel level, absl::string_view text) {
  constexpr const char* kNames[] = {"I", "W", "E"};
  const std::string line =
      absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%E3S", absl::Now(),
                                    absl::LocalTimeZone()),
                   " ", kNames[static_cast<int>(level)], " ", text, "\n");
  // One write a line keeps lines whole; there is no one to tell if it fails.
  [[maybe_unused]] const auto written =
      write(log_fd.load(), line.data(), line.size());
}

absl::Status LogToFile(const std::string& path) {
  const int fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
  }
  const int old = log_fd.exchange(fd);
  if (old != STDERR_FILENO) close(old);
  return absl::OkStatus();
}

void Fatal(const char* file, int line, absl::string_view text) {
  Log(LogLevel::kError, absl::StrCat(file, ":", line, ": ", text));
  std::abort();
}

}  // namespace parley
