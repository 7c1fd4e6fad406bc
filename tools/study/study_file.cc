#include "tools/study/study_file.h"

#include <google/protobuf/text_format.h>

#include <filesystem>
#include <system_error>
#include <vector>

#include "common/base/status_macros.h"
#include "common/config/config_errors.h"
#include "common/config/config_text.h"
#include "common/config/load.h"

namespace parley {
namespace {

namespace fs = std::filesystem;

void MakeStudyPathsAbsolute(const std::string& folder,
                            v1::StudyConfig* config) {
  if (config->has_run()) MakePathsAbsolute(folder, config->mutable_run());
  if (!config->has_implicit_bias()) return;
  for (v1::ImplicitBias::Split& split :
       *config->mutable_implicit_bias()->mutable_partition()) {
    if (!split.has_partition()) continue;
    v1::RunConfig with;
    v1::Data* data = with.mutable_data();
    data->mutable_partition()->Swap(split.mutable_partition());
    MakePathsAbsolute(folder, &with);
    data->mutable_partition()->Swap(split.mutable_partition());
  }
}

}  // namespace

absl::StatusOr<Study> LoadStudyFile(const std::string& path,
                                    absl::Span<const std::string> overrides) {
  PARLEY_ASSIGN_OR_RETURN(const std::string text, ReadConfigFile(path));
  return LoadStudyText(text, path, overrides);
}

absl::StatusOr<Study> LoadStudyText(absl::string_view text,
                                    const std::string& path,
                                    absl::Span<const std::string> overrides) {
  PARLEY_RETURN_IF_ERROR(CheckConfigText(text, path));
  const ConfigText parsed =
      ConfigText::Parse(text, v1::StudyConfig::default_instance());
  ConfigErrors errors(path, parsed);
  Study study;
  study.config.CopyFrom(parsed.message());
  std::error_code ignored;
  const fs::path here = fs::current_path(ignored);
  MakeStudyPathsAbsolute((here / path).parent_path(), &study.config);
  errors.Apply(overrides, &study.config);
  MakeStudyPathsAbsolute(here, &study.config);
  if (study.config.name().empty()) study.config.set_name(NameOfFile(path));
  FillStudyDefaults(&study.config);
  std::vector<Problem> problems;
  study.cells = ExpandStudy(study.config, &problems);
  for (const Problem& problem : problems) errors.AddProblem(problem);
  PARLEY_RETURN_IF_ERROR(errors.ToStatus());
  return study;
}

std::string PrintStudy(const v1::StudyConfig& config) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetUseUtf8StringEscaping(true);
  std::string text;
  printer.PrintToString(config, &text);
  return text;
}

}  // namespace parley
