#include "common/config/load.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/config/defaults.h"
#include "common/config/facts.h"
#include "common/config/field_path.h"
#include "common/config/overrides.h"
#include "common/config/run_text.h"
#include "common/config/validate.h"
#include "common/data/input_file.h"
#include "common/files/parameter_file.h"

namespace parley {
namespace {

namespace fs = std::filesystem;

// A run is sent to clients in one control message, of at most 1 MiB.
constexpr size_t kMaxBytes = 512 << 10;

std::string DefaultName(const std::string& path) {
  std::string name = fs::path(path).stem().string();
  for (char& c : name) {
    if (!absl::ascii_isalnum(c) && c != '.' && c != '_') c = '-';
  }
  name.erase(0, name.find_first_not_of('.'));
  name.resize(std::min<size_t>(name.size(), 64));
  return name.empty() ? "run" : name;
}

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

void MakeAbsolute(const fs::path& folder, v1::RunConfig* config) {
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

// Gathers what is wrong, each with its place.
class Errors {
 public:
  Errors(const std::string& file, const RunText& text)
      : file_(file.empty() ? "run file" : file), text_(text) {
    for (const RunText::Error& error : text.errors()) {
      Add(error.line, InFile(error.line), error.text);
    }
  }

  // `override` is the text after --set, of the given path.
  void AddOverride(const std::string& override, const std::string& path) {
    overrides_.emplace_back(path, override);
  }
  void AddBadOverride(const std::string& override, absl::string_view text) {
    Add(kOverrides, absl::StrCat("--set ", override), text);
  }

  // With a broken file, what is missing or does not go together may be so for
  // that alone.
  void AddProblem(const Problem& problem) {
    if (problem.kind != Problem::Kind::kValue && !text_.errors().empty()) {
      return;
    }
    const RunText::Place place = text_.Find(problem.path);
    const std::string text = absl::StrCat(problem.path, " ", problem.text);
    for (auto it = overrides_.rbegin(); it != overrides_.rend(); ++it) {
      if (IsWithin(problem.path, it->first) ||
          (!place.exact && IsWithin(it->first, problem.path))) {
        return AddBadOverride(it->second, text);
      }
    }
    Add(place.line, InFile(place.line), text);
  }

  absl::Status ToStatus() {
    if (lines_.empty()) return absl::OkStatus();
    std::stable_sort(
        lines_.begin(), lines_.end(),
        [](const auto& a, const auto& b) { return a.first < b.first; });
    return absl::InvalidArgumentError(
        absl::StrJoin(lines_, "\n", [](std::string* out, const auto& line) {
          absl::StrAppend(out, line.second);
        }));
  }

 private:
  static constexpr int kOverrides = 1 << 30;  // after all lines

  std::string InFile(int line) const {
    return line > 0 ? absl::StrCat(file_, ":", line) : file_;
  }
  void Add(int order, const std::string& place, absl::string_view text) {
    lines_.emplace_back(order, absl::StrCat(place, ": ", text));
  }

  const std::string file_;
  const RunText& text_;
  std::vector<std::pair<std::string, std::string>> overrides_;
  std::vector<std::pair<int, std::string>> lines_;
};

// Sets the number of parts where it is the data that tells it.
void TakeParts(v1::RunConfig* config, Errors* errors) {
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
    errors->AddProblem(
        {Problem::Kind::kValue, field,
         absl::StrCat("cannot be used: ", parts.status().message())});
  }
}

}  // namespace

absl::StatusOr<v1::RunConfig> LoadRunFile(
    const std::string& path, absl::Span<const std::string> overrides) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    return absl::NotFoundError(absl::StrCat(path, ": there is no such file"));
  }
  if (fs::is_directory(path, ignored)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": is a folder, not a run file"));
  }
  std::ifstream in(path, std::ios::binary);
  std::string text(kMaxBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in.is_open() || in.bad() || !fs::is_regular_file(path, ignored)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": cannot be read as a file"));
  }
  text.resize(static_cast<size_t>(in.gcount()));
  return LoadRunText(text, path, overrides);
}

absl::StatusOr<v1::RunConfig> LoadRunText(
    absl::string_view text, const std::string& path,
    absl::Span<const std::string> overrides, const std::string& folder) {
  if (text.size() > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": is longer than ", kMaxBytes, " bytes: it is no run file"));
  }
  if (absl::StrContains(text, '\0')) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is no text, so it is no run file"));
  }
  const RunText parsed = RunText::Parse(text);
  Errors errors(path, parsed);
  v1::RunConfig config = parsed.config();
  std::error_code ignored;
  const fs::path here =
      folder.empty() ? fs::current_path(ignored) : fs::path(folder);
  MakeAbsolute((here / path).parent_path(), &config);
  for (const std::string& override : overrides) {
    absl::StatusOr<std::string> field = ApplyOverride(override, &config);
    if (field.ok()) {
      errors.AddOverride(override, *field);
    } else {
      errors.AddBadOverride(override, field.status().message());
    }
  }
  MakeAbsolute(here, &config);
  if (config.name().empty()) config.set_name(DefaultName(path));

  TakeParts(&config, &errors);
  if (absl::Status status = TakeSpec(&config); !status.ok()) {
    errors.AddProblem({Problem::Kind::kValue, "start.file",
                       absl::StrCat("cannot be used: ", status.message())});
  }
  FillDefaults(&config);
  for (const Problem& problem : ValidateRun(config)) {
    errors.AddProblem(problem);
  }
  PARLEY_RETURN_IF_ERROR(errors.ToStatus());
  return config;
}

std::string PrintRun(const v1::RunConfig& config) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetUseUtf8StringEscaping(true);
  std::string text;
  printer.PrintToString(config, &text);
  return text;
}

}  // namespace parley
