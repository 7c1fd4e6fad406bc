// Models from wherever they lie: run folders, checkpoints, parameter files.
#ifndef PARLEY_TOOLS_CLI_MODEL_SOURCE_H_
#define PARLEY_TOOLS_CLI_MODEL_SOURCE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/files/parameter_file.h"
#include "common/model/parameters.h"

namespace parley {

struct SourcedModel {
  std::string file;              // that it was read from
  std::optional<int64_t> round;  // that a checkpoint was written after
  NamedParameters parameters;
};

// `source` is a run's folder (its latest whole checkpoint, else
// model.safetensors), a checkpoint, or a .safetensors or .npz file.
// NotFound: none of these. InvalidArgument or DataLoss: damaged.
absl::StatusOr<SourcedModel> ReadModel(const std::string& source);

// What the parameters of a run must look like: `run` is a run's folder or a run
// file. InvalidArgument: the run file is wrong. Data may have to be read.
absl::StatusOr<ParameterSpec> SpecOfRun(const std::string& run);

}  // namespace parley

#endif  // PARLEY_TOOLS_CLI_MODEL_SOURCE_H_
