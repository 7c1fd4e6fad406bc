// What diagnostics demand of the rest of a run's configuration.
#ifndef PARLEY_COMMON_CONFIG_DIAGNOSTICS_RULES_H_
#define PARLEY_COMMON_CONFIG_DIAGNOSTICS_RULES_H_

#include "common/config/complaints.h"
#include "parley/v1/run.pb.h"

namespace parley {

// A part of CheckRules (rules.h).
void CheckDiagnosticsRules(const v1::RunConfig& config, Complaints& complaints);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_DIAGNOSTICS_RULES_H_
