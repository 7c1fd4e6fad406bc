#include "server/round/next_values.h"

#include <vector>

#include "common/analysis/direction.h"

namespace parley {

NextValues FirstValues(const v1::RunConfig& config) {
  if (!config.local().step_size().has_loss_normalised()) return {};
  return {{kLogLoss, 0}};
}

NextValues NextValuesOf(const v1::RunConfig& config,
                        const v1::RoundCommitted& round,
                        const NextValues& before) {
  if (!config.local().step_size().has_loss_normalised()) return {};
  std::vector<double> negated, weights;
  double sum = 0;
  for (const v1::TaskOutcome& outcome : round.outcomes()) {
    if (outcome.kind() != v1::TRAIN || !outcome.counted()) continue;
    const auto log_loss = outcome.scalars().find(kLogLoss);
    if (log_loss == outcome.scalars().end()) continue;
    negated.push_back(-log_loss->second);
    // As the strategies weigh that it goes with (common/config/rules.cc).
    weights.push_back(config.aggregation().has_uniform() ? 1
                                                         : outcome.weight());
    sum += weights.back();
  }
  if (negated.empty()) return before;
  for (double& weight : weights) weight /= sum;
  return {{kLogLoss, LogLoss(MarginLoss::kExponential, negated, weights)}};
}

}  // namespace parley
