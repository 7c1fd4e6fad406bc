// The defaults that run.proto states, in one place.
#ifndef PARLEY_COMMON_CONFIG_DEFAULTS_H_
#define PARLEY_COMMON_CONFIG_DEFAULTS_H_

#include <cstdint>
#include <string>

#include "parley/v1/run.pb.h"

namespace parley {

// Makes every default explicit that does not depend on the data, so that
// whoever reads the configuration afterwards reads plain fields. Leaves what is
// required and missing as it is: ValidateRun reports it. Doing it twice changes
// nothing.
void FillDefaults(v1::RunConfig* config);

// channels × height × width of a cnn's images; 0 where one of them is missing
// or out of range, or where that is more than a model may have.
int64_t FeaturesOf(const v1::Cnn& cnn);

// Whether `merge` speaks of the tensor of that name.
bool Matches(const v1::MergeOf& merge, const std::string& tensor);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_DEFAULTS_H_
