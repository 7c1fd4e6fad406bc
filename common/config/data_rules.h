// What the fields of a run's data demand of each other and of the model.
#ifndef PARLEY_COMMON_CONFIG_DATA_RULES_H_
#define PARLEY_COMMON_CONFIG_DATA_RULES_H_

#include "common/config/complaints.h"
#include "parley/v1/run.pb.h"

namespace parley {

// A part of CheckRules (rules.h).
void CheckDataRules(const v1::RunConfig& config, Complaints& complaints);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_DATA_RULES_H_
