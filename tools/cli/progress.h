// How a run's progress looks: one live line on a terminal, else a line a round;
// and lines on what goes wrong: which clients fail and why, whom it waits for.
#ifndef PARLEY_TOOLS_CLI_PROGRESS_H_
#define PARLEY_TOOLS_CLI_PROGRESS_H_

#include <cstdint>
#include <cstdio>
#include <optional>
#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/report/run_status.h"
#include "parley/v1/admin.pb.h"

namespace parley {

// "1.2 MB": powers of 1000, as links are measured.
std::string FormatSize(uint64_t bytes);
// "0:07", "12:34", "1:02:03".
std::string FormatSpan(absl::Duration span);
// "loss 0.5123  accuracy 81.2 %", or what there is of it.
std::string FormatQuality(std::optional<double> loss,
                          std::optional<double> accuracy);

// "gap 0.1234  log-loss -12.346", or what there is of it: of
// diagnostics.direction_gap.
std::string FormatDirection(std::optional<double> gap,
                            std::optional<double> log_loss);

// At most `width` characters:
// round 7/40 [###.....]  loss 0.5123  acc 81.2 %  train 3/10, slowest 45 %
//   ↑1.2 MB ↓1.2 MB  ETA 0:42
std::string FormatLiveLine(const v1::RunStatus& status, int width);

// The line about the rounds committed so far.
std::string FormatRoundLine(const v1::RunStatus& status);

// Thread-safe.
class ProgressPrinter {
 public:
  // `out` is borrowed; it is asked whether it is a terminal.
  explicit ProgressPrinter(std::FILE* out);
  // As if it were or were not one, `width` characters wide.
  ProgressPrinter(std::FILE* out, bool terminal, int width);
  ~ProgressPrinter();

  void Update(const v1::RunStatus& status);
  // A line of its own, above the live one.
  void Say(absl::string_view line);

 private:
  void SayLocked(absl::string_view line) REQUIRES(mu_);
  // Each failure of a client once.
  void TellFailures(const v1::RunStatus& status) REQUIRES(mu_);
  // Whom it waits for, every so often.
  void TellWaiting(const v1::RunStatus& status) REQUIRES(mu_);
  void Clear() REQUIRES(mu_);

  std::FILE* const out_;
  const bool terminal_;
  const int fixed_width_;  // 0: ask the terminal
  Mutex mu_;
  std::string live_ GUARDED_BY(mu_);  // the line that stands there
  int64_t told_rounds_ GUARDED_BY(mu_) = 0;
  absl::Time told_waiting_ GUARDED_BY(mu_) = absl::InfinitePast();
  std::set<std::string> told_failures_ GUARDED_BY(mu_);
};

}  // namespace parley

#endif  // PARLEY_TOOLS_CLI_PROGRESS_H_
