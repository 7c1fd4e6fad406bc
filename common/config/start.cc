#include "common/config/start.h"

#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "common/config/build.h"
#include "common/config/facts.h"
#include "common/files/parameter_file.h"
#include "common/model/model.h"
#include "common/wire/spec.h"

namespace parley {
namespace {

template <typename T>
absl::StatusOr<std::unique_ptr<Model<T>>> ModelOf(const v1::RunConfig& config) {
  PARLEY_ASSIGN_OR_RETURN(const ModelOptions options,
                          ModelOptionsOf(config, StatedFacts(config.model())));
  return MakeModel<T>(options);
}

template <typename T>
absl::Status Initialize(const v1::RunConfig& config, ParameterVector* start) {
  PARLEY_ASSIGN_OR_RETURN(const auto model, ModelOf<T>(config));
  Rng rng(config.seed(), "init");
  model->Initialize(rng, start->As<T>());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ParameterSpec> ModelSpecOf(const v1::RunConfig& config) {
  if (config.model().has_custom()) {
    return SpecFromProto(config.model().custom().spec());
  }
  if (DTypeOf(config) == DType::kFloat32) {
    PARLEY_ASSIGN_OR_RETURN(const auto model, ModelOf<float>(config));
    return model->spec();
  }
  PARLEY_ASSIGN_OR_RETURN(const auto model, ModelOf<double>(config));
  return model->spec();
}

absl::StatusOr<ParameterVector> StartOf(const v1::RunConfig& config) {
  PARLEY_ASSIGN_OR_RETURN(const ParameterSpec all, ModelSpecOf(config));
  const ParameterSpec spec = TravellingSpec(all);
  const v1::Start& from = config.start();
  if (from.kind_case() == v1::Start::kFile && IsParameterFile(from.file())) {
    return LoadParameters(from.file(), spec, all.tensors());
  }
  if (from.kind_case() == v1::Start::kFile ||
      from.kind_case() == v1::Start::kRun) {
    return absl::FailedPreconditionError(
        "start.run, and start.file with a checkpoint, are for a coordinator; "
        "`parley model export` makes a .safetensors file of either");
  }
  ParameterVector start(spec.dtype(), spec.elements());
  if (!config.model().has_custom() && !from.has_zeros()) {
    PARLEY_RETURN_IF_ERROR(spec.dtype() == DType::kFloat32
                               ? Initialize<float>(config, &start)
                               : Initialize<double>(config, &start));
  }
  return start;
}

}  // namespace parley
