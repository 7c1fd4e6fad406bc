#include "common/config/config_errors.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/config/field_path.h"
#include "common/config/overrides.h"

namespace parley {
namespace {

namespace fs = std::filesystem;

// A run is sent to clients in one control message, of at most 1 MiB.
constexpr size_t kMaxBytes = 512 << 10;
constexpr int kAfterAllLines = 1 << 30;

}  // namespace

absl::StatusOr<std::string> ReadConfigFile(const std::string& path) {
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
  return text;
}

absl::Status CheckConfigText(absl::string_view text, const std::string& path) {
  if (text.size() > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": is longer than ", kMaxBytes, " bytes: it is no run file"));
  }
  if (absl::StrContains(text, '\0')) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is no text, so it is no run file"));
  }
  return absl::OkStatus();
}

ConfigErrors::ConfigErrors(const std::string& file, const ConfigText& text)
    : file_(file.empty() ? "run file" : file), text_(text) {
  for (const ConfigText::Error& error : text.errors()) {
    Add(error.line, InFile(error.line), error.text);
  }
}

void ConfigErrors::Apply(absl::Span<const std::string> overrides,
                         google::protobuf::Message* message) {
  for (const std::string& override : overrides) {
    absl::StatusOr<std::string> field = ApplyOverride(override, message);
    if (field.ok()) {
      overrides_.emplace_back(*field, override);
    } else {
      AddOverrideError(override, field.status().message());
    }
  }
}

void ConfigErrors::AddProblem(const Problem& problem) {
  if (problem.kind != Problem::Kind::kValue && !text_.errors().empty()) {
    return;
  }
  const ConfigText::Place place = text_.Find(problem.path);
  const std::string text = absl::StrCat(problem.path, " ", problem.text);
  for (auto it = overrides_.rbegin(); it != overrides_.rend(); ++it) {
    if (IsWithin(problem.path, it->first) ||
        (!place.exact && IsWithin(it->first, problem.path))) {
      return AddOverrideError(it->second, text);
    }
  }
  Add(place.line, InFile(place.line), text);
}

absl::Status ConfigErrors::ToStatus() {
  if (lines_.empty()) return absl::OkStatus();
  std::stable_sort(
      lines_.begin(), lines_.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  return absl::InvalidArgumentError(
      absl::StrJoin(lines_, "\n", [](std::string* out, const auto& line) {
        absl::StrAppend(out, line.second);
      }));
}

std::string ConfigErrors::InFile(int line) const {
  return line > 0 ? absl::StrCat(file_, ":", line) : file_;
}

void ConfigErrors::AddOverrideError(const std::string& override,
                                    absl::string_view text) {
  Add(kAfterAllLines, absl::StrCat("--set ", override), text);
}

void ConfigErrors::Add(int order, const std::string& place,
                       absl::string_view text) {
  std::pair<int, std::string> line(order, absl::StrCat(place, ": ", text));
  if (std::find(lines_.begin(), lines_.end(), line) == lines_.end()) {
    lines_.push_back(std::move(line));
  }
}

}  // namespace parley
