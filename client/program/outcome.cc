#include "client/program/outcome.h"

#include <cstdlib>
#include <cstring>

#include "absl/time/time.h"
#include "common/base/log.h"

namespace parley {
namespace {

// How long training may take to notice that it is stopped.
constexpr absl::Duration kPatience = absl::Milliseconds(1000);

}  // namespace

int Outcome::WaitForSignal() {
  int signal = 0;
  while (!Get() && signal == 0) signal = signals_->Wait();
  return signal;
}

Outcome::End Outcome::Wait(
    absl::FunctionRef<bool(const std::string& reason)> leave, Ask stop) {
  const int first = WaitForSignal();
  if (first == 0) return End::kByItself;
  const std::string reason = strsignal(first);
  const bool takes_a_while = leave(reason);
  const int second = takes_a_while ? WaitForSignal() : 0;
  if (second != 0) {
    LogInfo("ends: ", strsignal(second));
    stop(reason);
  }
  if (!Get()) signals_->Wait(kPatience);
  if (!Get()) {
    // Data being loaded, a long step, or one more signal.
    LogInfo("ends without waiting for the work under way");
    std::_Exit(EXIT_SUCCESS);
  }
  return second == 0 ? End::kLeft : End::kStopped;
}

}  // namespace parley
