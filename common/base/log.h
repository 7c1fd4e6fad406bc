// Log lines of a program: time, level, text; to standard error or to one file.
#ifndef PARLEY_COMMON_BASE_LOG_H_
#define PARLEY_COMMON_BASE_LOG_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace parley {

enum class LogLevel { kInfo, kWarning, kError };

// Thread-safe; a line is written whole.
void Log(LogLevel level, absl::string_view text);

template <typename... Args>
void LogInfo(const Args&... args) {
  Log(LogLevel::kInfo, absl::StrCat(args...));
}
template <typename... Args>
void LogWarning(const Args&... args) {
  Log(LogLevel::kWarning, absl::StrCat(args...));
}
template <typename... Args>
void LogError(const Args&... args) {
  Log(LogLevel::kError, absl::StrCat(args...));
}

// From now on lines go to the end of `path` instead of standard error.
absl::Status LogToFile(const std::string& path);

// Reports a programmer's error and aborts.
[[noreturn]] void Fatal(const char* file, int line, absl::string_view text);

}  // namespace parley

// For programmers' errors only, never for what a peer sent.
#define PARLEY_CHECK(condition)                                         \
  do {                                                                  \
    if (!(condition))                                                   \
      ::parley::Fatal(__FILE__, __LINE__, "check failed: " #condition); \
  } while (false)

#endif  // PARLEY_COMMON_BASE_LOG_H_
