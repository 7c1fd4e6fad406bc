#include "tools/cli/model_source.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/build.h"
#include "common/config/facts.h"
#include "common/config/load.h"
#include "common/model/model.h"
#include "common/wire/spec.h"
#include "server/store/checkpoint.h"
#include "server/store/run_store.h"

namespace parley {
namespace {

bool IsFolder(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

absl::StatusOr<SourcedModel> ReadCheckpoint(const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(const auto reader, CheckpointReader::Open(path));
  ParameterVector values(reader->spec().dtype(), reader->spec().elements());
  PARLEY_RETURN_IF_ERROR(reader->Read(kModelSection, values));
  return SourcedModel{
      path, reader->head().round(), {reader->spec(), std::move(values)}};
}

absl::StatusOr<SourcedModel> ReadFile(const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(NamedParameters parameters, ReadParameters(path));
  return SourcedModel{path, std::nullopt, std::move(parameters)};
}

template <typename T>
absl::StatusOr<ParameterSpec> SpecOfModel(const ModelOptions& options) {
  PARLEY_ASSIGN_OR_RETURN(const auto model, MakeModel<T>(options));
  return model->spec();
}

absl::StatusOr<ParameterSpec> SpecOfConfig(const v1::RunConfig& config) {
  if (config.model().has_custom()) {
    return SpecFromProto(config.model().custom().spec());
  }
  PARLEY_ASSIGN_OR_RETURN(const DataFacts facts, ProbeData(config));
  PARLEY_ASSIGN_OR_RETURN(const ModelOptions options,
                          ModelOptionsOf(config, facts));
  return DTypeOf(config) == DType::kFloat32 ? SpecOfModel<float>(options)
                                            : SpecOfModel<double>(options);
}

}  // namespace

absl::StatusOr<SourcedModel> ReadModel(const std::string& source) {
  if (!IsFolder(source)) {
    return IsParameterFile(source) ? ReadFile(source) : ReadCheckpoint(source);
  }
  absl::Status damaged;  // the latest checkpoint
  for (const std::string& path : ListCheckpoints(source)) {
    absl::StatusOr<SourcedModel> model = ReadCheckpoint(path);
    if (model.ok()) return model;
    damaged.Update(model.status());
  }
  absl::StatusOr<SourcedModel> model =
      ReadFile(absl::StrCat(source, "/", kModelFile));
  if (!absl::IsNotFound(model.status())) return model;
  PARLEY_RETURN_IF_ERROR(damaged);
  return absl::NotFoundError(absl::StrCat(
      source, " holds no model: neither a checkpoint nor ", kModelFile));
}

absl::StatusOr<ParameterSpec> SpecOfRun(const std::string& run) {
  if (IsFolder(run)) {
    absl::StatusOr<SourcedModel> model = ReadModel(run);
    if (model.ok()) return model->parameters.spec;
  }
  PARLEY_ASSIGN_OR_RETURN(
      const v1::RunConfig config,
      LoadRunFile(IsFolder(run) ? absl::StrCat(run, "/", kRunFile) : run));
  return SpecOfConfig(config);
}

}  // namespace parley
