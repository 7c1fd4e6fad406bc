// What the fields of a run's configuration demand of each other.
#ifndef PARLEY_COMMON_CONFIG_RULES_H_
#define PARLEY_COMMON_CONFIG_RULES_H_

#include <string>
#include <vector>

#include "common/config/validate.h"

namespace parley {

// 1 to 64 of A-Z a-z 0-9 . _ -, the first no dot: what a run may be called.
bool IsRunName(const std::string& name);

// Adds every rule that is broken to *problems. Ranges are not looked at, so
// each field may hold anything.
void CheckRules(const v1::RunConfig& config, std::vector<Problem>* problems);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_RULES_H_
