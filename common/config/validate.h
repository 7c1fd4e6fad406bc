// Says everything that is wrong with a run's configuration.
#ifndef PARLEY_COMMON_CONFIG_VALIDATE_H_
#define PARLEY_COMMON_CONFIG_VALIDATE_H_

#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "parley/v1/run.pb.h"

namespace parley {

struct Problem {
  enum class Kind {
    kValue,    // of one field by itself
    kMissing,  // a field that has to be there
    kConflict  // between fields
  };
  Kind kind;
  std::string path;  // "cohort.quorum", "round_values[1].name"
  std::string text;  // "is 1.5: must be > 0 and <= 1"
};

// Everything that can be told without touching the data. `config` has its
// defaults filled in.
std::vector<Problem> ValidateRun(const v1::RunConfig& config);

// Of these, the numbers and enum values in `message`, which is of a run or of a
// study, that are out of range or missing. Paths begin with `prefix`.
void CheckRanges(const google::protobuf::Message& message,
                 const std::string& prefix, std::vector<Problem>* problems);

// ValidateRun as one status, a problem a line; for a configuration that came
// over the network. InvalidArgument.
absl::Status CheckRun(const v1::RunConfig& config);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_VALIDATE_H_
