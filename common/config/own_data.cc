#include "common/config/own_data.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/config/facts.h"
#include "common/config/ranges.h"

namespace parley {
namespace {

using Kind = decltype(DataSource::kind);

bool HasEmpty(const std::vector<std::string>& words) {
  return std::find(words.begin(), words.end(), "") != words.end();
}

// Each reads what follows the colon; none where that is malformed.
std::optional<Kind> ReadLibsvm(absl::string_view rest) {
  if (rest.empty()) return std::nullopt;
  return LibsvmOptions{.path = std::string(rest)};
}

std::optional<Kind> ReadIdx(absl::string_view rest) {
  const std::vector<std::string> files = absl::StrSplit(rest, ',');
  if (files.size() != 2 || HasEmpty(files)) return std::nullopt;
  return IdxOptions{files[0], files[1]};
}

// Names of columns may have commas in them, and so may the path.
std::optional<Kind> ReadCsv(absl::string_view rest) {
  const std::vector<std::string> path_and_columns =
      absl::StrSplit(rest, absl::MaxSplits(",target=", 1));
  if (path_and_columns.size() != 2) return std::nullopt;
  std::vector<std::string> columns =
      absl::StrSplit(path_and_columns[1], ",ignore=");
  if (path_and_columns[0].empty() || HasEmpty(columns)) return std::nullopt;
  CsvOptions options;
  options.path = path_and_columns[0];
  options.target = columns[0];
  options.ignore = {columns.begin() + 1, columns.end()};
  return options;
}

std::optional<Kind> ReadCifar10(absl::string_view rest) {
  const std::vector<std::string> files = absl::StrSplit(rest, ',');
  if (HasEmpty(files)) return std::nullopt;
  return Cifar10Options{files};
}

std::optional<Kind> ReadText(absl::string_view rest) {
  if (rest.empty()) return std::nullopt;
  return TextOptions{.path = std::string(rest)};
}

struct Form {
  const char* name;
  const char* rest;
  std::optional<Kind> (*read)(absl::string_view rest);
};
constexpr Form kForms[] = {
    {"libsvm", "PATH", ReadLibsvm},
    {"idx", "IMAGES,LABELS", ReadIdx},
    {"csv", "PATH,target=COLUMN[,ignore=COLUMN]...", ReadCsv},
    {"cifar10", "PATH[,PATH]...", ReadCifar10},
    {"text", "PATH", ReadText},
};

absl::StatusOr<Kind> Read(absl::string_view spec) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(spec, absl::MaxSplits(':', 1));
  for (const Form& form : kForms) {
    if (parts.first != form.name) continue;
    if (std::optional<Kind> kind = form.read(parts.second)) return *kind;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", spec, "\" names no data: must be one of ", OwnDataForms()));
}

// Adds what the run's configuration says of all clients' data.
absl::Status Complete(const v1::RunConfig& config, Kind& kind) {
  const v1::Data& data = config.data();
  if (auto* libsvm = std::get_if<LibsvmOptions>(&kind)) {
    libsvm->features = config.model().features();
    libsvm->dense = data.train().libsvm().dense();
  } else if (auto* text = std::get_if<TextOptions>(&kind)) {
    const bool train = data.has_train();
    const v1::Text& like = train ? data.train().text() : data.test().text();
    if (like.alphabet().empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "clients' own text needs an alphabet that is the same for all: set "
          "data.",
          train ? "train" : "test", ".text.alphabet in the run file"));
    }
    text->alphabet = like.alphabet();
    text->stride = like.stride();
    text->context = config.model().features();
  }
  return absl::OkStatus();
}

}  // namespace

std::string OwnDataForms() {
  return absl::StrJoin(kForms, ", ", [](std::string* out, const Form& form) {
    absl::StrAppend(out, form.name, ":", form.rest);
  });
}

absl::Status CheckOwnData(absl::string_view spec) {
  return Read(spec).status();
}

absl::StatusOr<TargetMap> MapOfOwn(const v1::RunConfig& config,
                                   const DataSource& source,
                                   const SourceTargets& told) {
  if (std::holds_alternative<CsvOptions>(source.kind) && !told.labels.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the labels are text, such as \"",
        absl::CEscape(told.labels[0].substr(0, 40)),
        "\", which each client would number in its own way: write them as "
        "whole numbers, the same on all clients"));
  }
  PARLEY_RETURN_IF_ERROR(CheckFacts(config, told.features, told.classes));
  const TargetKind kind = TargetKindOf(config.model());
  const std::vector<double>& targets = told.values;
  if (kind == TargetKind::kReal) return TargetMap::CreateFor(kind, told);
  const auto refuse = [&](size_t row, const std::string& allowed) {
    return absl::InvalidArgumentError(absl::StrCat(
        "row ", row + 1, ": the label is ", FormatNumber(targets[row]),
        ": a client's own labels must be ", allowed));
  };
  if (kind == TargetKind::kSign) {
    const bool zero =
        std::find(targets.begin(), targets.end(), 0.0) != targets.end();
    const double low = zero ? 0 : -1;
    for (size_t row = 0; row < targets.size(); ++row) {
      if (targets[row] != low && targets[row] != 1) {
        return refuse(row, "-1 and +1, or 0 and 1");
      }
    }
    return TargetMap::Create(kind, {low, 1.0});
  }
  const int64_t classes = config.model().classes();
  for (size_t row = 0; row < targets.size(); ++row) {
    if (targets[row] != std::floor(targets[row]) || targets[row] < 0 ||
        targets[row] >= static_cast<double>(classes)) {
      return refuse(row,
                    absl::StrCat("whole numbers from 0 to ", classes - 1,
                                 ", as the run has ", classes, " classes"));
    }
  }
  return TargetMap::Create(kind, {static_cast<double>(classes - 1)});
}

template <typename T>
absl::StatusOr<PartData<T>> LoadOwn(const std::string& spec,
                                    const v1::RunConfig& config) {
  if (!config.model().has_features() && !config.model().has_custom()) {
    return absl::InvalidArgumentError(
        "model.features is unknown: set it in the run file, so that data of "
        "the clients' own can be checked against it");
  }
  DataSource source;
  source.seed = config.seed();
  PARLEY_ASSIGN_OR_RETURN(source.kind, Read(spec));
  PARLEY_RETURN_IF_ERROR(Complete(config, source.kind));
  PARLEY_RETURN_IF_ERROR(CheckImages(config, source));
  PARLEY_ASSIGN_OR_RETURN(const SourceTargets targets, LoadTargets(source));
  PARLEY_ASSIGN_OR_RETURN(const TargetMap map,
                          MapOfOwn(config, source, targets));
  PARLEY_ASSIGN_OR_RETURN(const Dataset<T> all,
                          LoadTestSet<T>(std::move(source), targets, map));
  std::vector<int64_t> rows(all.rows());
  std::iota(rows.begin(), rows.end(), 0);
  const auto [train, held_out] =
      SplitHeldOut(rows, config.data().held_out(), config.seed(), 0);
  return PartData<T>{all.Select(train), all.Select(held_out)};
}

template absl::StatusOr<PartData<float>> LoadOwn(const std::string&,
                                                 const v1::RunConfig&);
template absl::StatusOr<PartData<double>> LoadOwn(const std::string&,
                                                  const v1::RunConfig&);

}  // namespace parley
