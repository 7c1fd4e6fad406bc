// The parameters that a run begins with, as far as they need no earlier run.
#ifndef PARLEY_COMMON_CONFIG_START_H_
#define PARLEY_COMMON_CONFIG_START_H_

#include "absl/status/statusor.h"
#include "common/model/parameters.h"
#include "parley/v1/run.pb.h"

namespace parley {

// Both take a configuration that is filled and checked, its facts stated
// (StateFacts).

// Of the run's model, LOCAL tensors included.
absl::StatusOr<ParameterSpec> ModelSpecOf(const v1::RunConfig& config);

// Without LOCAL tensors: drawn by seed, zeros, or from a .safetensors or .npz
// file. Any code of the file system; InvalidArgument: the file does not fit the
// model; FailedPrecondition: start is an earlier run or a checkpoint.
absl::StatusOr<ParameterVector> StartOf(const v1::RunConfig& config);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_START_H_
