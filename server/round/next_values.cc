#include "server/round/next_values.h"

#include <vector>

#include "common/analysis/direction.h"

namespace parley {

NextValues FirstValues(const v1::RunConfig& config) {
  if (!config.local().step_size().has_loss_normalised()) return {};
  return {{kLogLoss, 0}};
}

std::optional<double> LogLossOf(const v1::RoundCommitted& round, bool uniform) {
  std::vector<double> negated, weights;
  double sum = 0;
  for (const v1::TaskOutcome& outcome : round.outcomes()) {
    if (outcome.kind() != v1::TRAIN || !outcome.counted()) continue;
    const auto log_loss = outcome.scalars().find(kLogLoss);
    if (log_loss == outcome.scalars().end()) continue;
    negated.push_back(-log_loss->second);
    weights.push_back(uniform ? 1 : outcome.weight());
    sum += weights.back();
  }
  if (negated.empty()) return std::nullopt;
  for (double& weight : weights) weight /= sum;
  return LogLoss(MarginLoss::kExponential, negated, weights);
}

NextValues NextValuesOf(const v1::RunConfig& config,
                        const v1::RoundCommitted& round,
                        const NextValues& before) {
  if (!config.local().step_size().has_loss_normalised()) return {};
  // It goes with fed_avg and uniform alone (common/config/rules.cc).
  const std::optional<double> log_loss =
      LogLossOf(round, config.aggregation().has_uniform());
  if (!log_loss) return before;
  return {{kLogLoss, *log_loss}};
}

}  // namespace parley
