#include "common/config/load.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/config_errors.h"
#include "common/config/config_text.h"
#include "common/config/defaults.h"
#include "common/config/facts.h"
#include "common/config/validate.h"
#include "common/data/input_file.h"
#include "common/files/parameter_file.h"

namespace parley {
namespace {

namespace fs = std::filesystem;

void MakeAbsolute(const fs::path& folder, std::string* path) {
  if (path->empty() || fs::path(*path).is_absolute()) return;
  *path = (folder / *path).lexically_normal().string();
}

void MakeAbsolute(const fs::path& folder, v1::Source* source) {
  if (source->has_libsvm()) {
    MakeAbsolute(folder, source->mutable_libsvm()->mutable_path());
  }
  if (source->has_idx()) {
    MakeAbsolute(folder, source->mutable_idx()->mutable_images());
    MakeAbsolute(folder, source->mutable_idx()->mutable_labels());
  }
  if (source->has_csv()) {
    MakeAbsolute(folder, source->mutable_csv()->mutable_path());
  }
  if (source->has_cifar10()) {
    for (std::string& path : *source->mutable_cifar10()->mutable_paths()) {
      MakeAbsolute(folder, &path);
    }
  }
  if (source->has_text()) {
    MakeAbsolute(folder, source->mutable_text()->mutable_path());
  }
}

// The highest part that an index file names, plus one.
absl::StatusOr<int32_t> CountIndexed(const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(LineReader lines, LineReader::Open(path));
  int32_t parts = 0;
  for (;;) {
    PARLEY_ASSIGN_OR_RETURN(const bool more, lines.Next());
    if (!more) return parts;
    int32_t part = 0;
    if (!absl::SimpleAtoi(lines.line(), &part) || part < 0 || part >= 1000000) {
      return lines.Error("is no part, 0..999999");
    }
    parts = std::max(parts, part + 1);
  }
}

// How many values the column has that tells the parts of a CSV file.
absl::StatusOr<int32_t> CountValues(const v1::RunConfig& config) {
  PARLEY_ASSIGN_OR_RETURN(
      const SourceTargets targets,
      LoadTargets(SourceOf(config, config.data().train(), "train")));
  return static_cast<int32_t>(
      *std::max_element(targets.groups.begin(), targets.groups.end()) + 1);
}

// Takes the tensors of a custom model from the file that it starts from, where
// the run file lists none.
absl::Status TakeSpec(v1::RunConfig* config) {
  const std::string& file = config->start().file();
  if (!config->model().has_custom() || !IsParameterFile(file) ||
      config->model().custom().spec().tensors_size() > 0) {
    return absl::OkStatus();
  }
  PARLEY_ASSIGN_OR_RETURN(const auto opened, OpenTensorFile(file));
  auto* spec = config->mutable_model()->mutable_custom()->mutable_spec();
  for (const FileTensor& tensor : opened->tensors()) {
    v1::TensorSpec* added = spec->add_tensors();
    added->set_name(tensor.name);
    added->mutable_shape()->Add(tensor.shape.begin(), tensor.shape.end());
  }
  return absl::OkStatus();
}

// Sets the number of parts where it is the data that tells it.
void TakeParts(v1::RunConfig* config, std::vector<Problem>* problems) {
  v1::Data* data = config->mutable_data();
  const v1::Partition& partition = data->partition();
  if (partition.has_parts()) return;
  const char* field;
  absl::StatusOr<int32_t> parts;
  if (!partition.index_file().path().empty()) {
    field = "data.partition.index_file.path";
    parts = CountIndexed(partition.index_file().path());
  } else if (!partition.by_column().column().empty() &&
             !data->train().csv().path().empty() &&
             !data->train().csv().target().empty()) {
    field = "data.partition.by_column.column";
    parts = CountValues(*config);
  } else {
    return;
  }
  if (parts.ok()) {
    data->mutable_partition()->set_parts(*parts);
  } else {
    problems->push_back(
        {Problem::Kind::kValue, field,
         absl::StrCat("cannot be used: ", parts.status().message())});
  }
}

}  // namespace

std::string NameOfFile(const std::string& path) {
  std::string name = fs::path(path).stem().string();
  for (char& c : name) {
    if (!absl::ascii_isalnum(c) && c != '.' && c != '_') c = '-';
  }
  name.erase(0, name.find_first_not_of('.'));
  name.resize(std::min<size_t>(name.size(), 64));
  return name.empty() ? "run" : name;
}

void MakePathsAbsolute(const std::string& folder, v1::RunConfig* config) {
  v1::Data* data = config->mutable_data();
  if (data->has_train()) MakeAbsolute(folder, data->mutable_train());
  if (data->has_test()) MakeAbsolute(folder, data->mutable_test());
  if (data->partition().has_index_file()) {
    MakeAbsolute(
        folder,
        data->mutable_partition()->mutable_index_file()->mutable_path());
  }
  v1::Start* start = config->mutable_start();
  if (start->kind_case() == v1::Start::kFile) {
    MakeAbsolute(folder, start->mutable_file());
  }
  if (start->kind_case() == v1::Start::kRun) {
    MakeAbsolute(folder, start->mutable_run());
  }
}

absl::StatusOr<v1::RunConfig> LoadRunFile(
    const std::string& path, absl::Span<const std::string> overrides) {
  PARLEY_ASSIGN_OR_RETURN(const std::string text, ReadConfigFile(path));
  return LoadRunText(text, path, overrides);
}

absl::StatusOr<v1::RunConfig> LoadRunText(
    absl::string_view text, const std::string& path,
    absl::Span<const std::string> overrides, const std::string& folder) {
  PARLEY_RETURN_IF_ERROR(CheckConfigText(text, path));
  const ConfigText parsed =
      ConfigText::Parse(text, v1::RunConfig::default_instance());
  ConfigErrors errors(path, parsed);
  v1::RunConfig config;
  config.CopyFrom(parsed.message());
  std::error_code ignored;
  const fs::path here =
      folder.empty() ? fs::current_path(ignored) : fs::path(folder);
  MakePathsAbsolute((here / path).parent_path(), &config);
  errors.Apply(overrides, &config);
  MakePathsAbsolute(here, &config);
  if (config.name().empty()) config.set_name(NameOfFile(path));
  for (const Problem& problem : CompleteRun(&config)) {
    errors.AddProblem(problem);
  }
  PARLEY_RETURN_IF_ERROR(errors.ToStatus());
  return config;
}

std::vector<Problem> CompleteRun(v1::RunConfig* config) {
  std::vector<Problem> problems;
  TakeParts(config, &problems);
  if (absl::Status status = TakeSpec(config); !status.ok()) {
    problems.push_back({Problem::Kind::kValue, "start.file",
                        absl::StrCat("cannot be used: ", status.message())});
  }
  FillDefaults(config);
  for (Problem& problem : ValidateRun(*config)) {
    problems.push_back(std::move(problem));
  }
  return problems;
}

std::string PrintRun(const v1::RunConfig& config) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetUseUtf8StringEscaping(true);
  std::string text;
  printer.PrintToString(config, &text);
  return text;
}

}  // namespace parley
