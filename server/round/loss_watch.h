// Warns of a run whose training loss grows instead of falling.
#ifndef PARLEY_SERVER_ROUND_LOSS_WATCH_H_
#define PARLEY_SERVER_ROUND_LOSS_WATCH_H_

#include <optional>
#include <string>

#include "common/report/round_report.h"

namespace parley {

// A loss far above the first one for many rounds in a row is no noise: the
// steps are too large. Not thread-safe.
class LossWatch {
 public:
  static constexpr int kRounds = 10;  // in a row
  static constexpr double kFactor = 2;

  // A round was told. What to warn of, once a run.
  std::optional<std::string> Take(const RoundReport& report);

 private:
  std::optional<double> first_;  // > 0
  int above_ = 0;                // rounds in a row
  bool told_ = false;
};

}  // namespace parley

#endif  // PARLEY_SERVER_ROUND_LOSS_WATCH_H_
