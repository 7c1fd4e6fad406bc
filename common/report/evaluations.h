// What peers found of their own models, together.
#ifndef PARLEY_COMMON_REPORT_EVALUATIONS_H_
#define PARLEY_COMMON_REPORT_EVALUATIONS_H_

#include <vector>

#include "common/report/round_report.h"

namespace parley {

// The means by `examples`, each over those that have the number.
EvaluationReport MeanOf(const std::vector<ClientEvaluation>& evaluations);

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_EVALUATIONS_H_
