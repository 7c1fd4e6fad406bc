#include "server/round/loss_watch.h"

#include "absl/strings/str_format.h"

namespace parley {

std::optional<std::string> LossWatch::Take(const RoundReport& report) {
  if (told_ || !report.train_loss) return std::nullopt;
  const double loss = *report.train_loss;
  if (!first_) {
    if (loss > 0) first_ = loss;
    return std::nullopt;
  }
  // One that is not a number is above, too.
  above_ = loss <= kFactor * *first_ ? 0 : above_ + 1;
  if (above_ < kRounds) return std::nullopt;
  told_ = true;
  return absl::StrFormat(
      "round %d: the training loss has been more than %g times the first one "
      "for %d rounds (%.4g now, %.4g at first): training seems to diverge; a "
      "smaller step size may help",
      report.round, kFactor, kRounds, loss, *first_);
}

}  // namespace parley
