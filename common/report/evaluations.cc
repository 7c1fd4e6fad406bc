#include "common/report/evaluations.h"

#include <optional>

namespace parley {

EvaluationReport MeanOf(const std::vector<ClientEvaluation>& evaluations) {
  const auto mean = [&](auto member) -> std::optional<double> {
    double sum = 0, weight = 0;
    for (const ClientEvaluation& evaluation : evaluations) {
      const std::optional<double>& value = evaluation.*member;
      if (!value) continue;
      sum += evaluation.examples * *value;
      weight += evaluation.examples;
    }
    return weight > 0 ? std::optional(sum / weight) : std::nullopt;
  };
  return {.loss = mean(&ClientEvaluation::loss),
          .accuracy = mean(&ClientEvaluation::accuracy)};
}

}  // namespace parley
