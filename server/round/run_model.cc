#include "server/round/run_model.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/build.h"
#include "common/config/start.h"
#include "common/files/parameter_file.h"
#include "common/wire/encoding.h"
#include "common/wire/spec.h"
#include "server/store/checkpoint.h"
#include "server/store/run_store.h"

namespace parley {
namespace {

// A checkpoint's model, which may be of the other dtype.
absl::StatusOr<ParameterVector> LoadCheckpoint(const std::string& path,
                                               const ParameterSpec& spec) {
  PARLEY_ASSIGN_OR_RETURN(const auto reader, CheckpointReader::Open(path));
  const ParameterSpec& from = reader->spec();
  if (from.tensors() != spec.tensors()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is of another model: it has ", from.ToString(),
                     " where the run has ", spec.ToString()));
  }
  ParameterVector values(from.dtype(), from.elements());
  PARLEY_RETURN_IF_ERROR(reader->Read(kModelSection, values));
  if (from.dtype() == spec.dtype()) return values;
  ParameterVector converted(spec.dtype(), spec.elements());
  Encode(from.dtype(), values.data(), spec.elements(),
         NativeEncoding(spec.dtype()), converted.data());
  if (!converted.AllFinite()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, " has numbers that are too large for ", Name(spec.dtype())));
  }
  return converted;
}

absl::StatusOr<ParameterVector> MakeStart(const v1::RunConfig& config,
                                          const ParameterSpec& spec) {
  const v1::Start& start = config.start();
  if (start.kind_case() == v1::Start::kRun) {
    return LoadRunModel(start.run(), spec);
  }
  if (start.kind_case() == v1::Start::kFile && !IsParameterFile(start.file())) {
    return LoadCheckpoint(start.file(), spec);
  }
  return StartOf(config);
}

}  // namespace

absl::StatusOr<RunModel> MakeRunModel(const v1::RunConfig& config, bool start,
                                      Executor* executor) {
  RunModel made;
  PARLEY_ASSIGN_OR_RETURN(made.spec, ModelSpecOf(config));
  made.shared = TravellingSpec(made.spec);
  if (start) {
    PARLEY_ASSIGN_OR_RETURN(made.start, MakeStart(config, made.shared));
  } else {
    made.start = ParameterVector(made.shared.dtype(), made.shared.elements());
  }
  if (config.evaluation().central()) {
    PARLEY_ASSIGN_OR_RETURN(made.evaluator,
                            MakeTestEvaluator(config, executor));
  }
  return made;
}

absl::StatusOr<ParameterVector> LoadRunModel(const std::string& folder,
                                             const ParameterSpec& spec) {
  for (const std::string& path : ListCheckpoints(folder)) {
    absl::StatusOr<ParameterVector> values = LoadCheckpoint(path, spec);
    if (!absl::IsDataLoss(values.status())) return values;
  }
  const std::string model = absl::StrCat(folder, "/", kModelFile);
  if (std::filesystem::exists(model)) return LoadParameters(model, spec);
  return absl::NotFoundError(
      absl::StrCat(folder, " has no model: no checkpoint and no ", kModelFile));
}

}  // namespace parley
