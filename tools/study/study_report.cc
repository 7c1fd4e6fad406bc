#include "tools/study/study_report.h"

#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/flags.h"
#include "common/base/status_macros.h"
#include "common/files/file_io.h"
#include "common/report/study_page.h"

namespace parley {
namespace {

Json NumbersOf(const std::vector<double>& values) {
  Json array = Json::Array();
  for (const double value : values) array.Add(value);
  return array;
}

Json TextsOf(const std::vector<std::string>& texts) {
  Json array = Json::Array();
  for (const std::string& text : texts) array.Add(text);
  return array;
}

const char* NameOf(CellState::Kind kind) {
  switch (kind) {
    case CellState::kWaiting:
    case CellState::kRunning:
      return "waiting";
    case CellState::kFinished:
      return "finished";
    case CellState::kFailed:
      return "failed";
    case CellState::kStopped:
      return "interrupted";
  }
  return "";
}

Json JsonOf(const LineFit& fit) {
  Json json = Json::Object();
  json.Set("slope", fit.slope)
      .Set("within", fit.slope_within)
      .Set("intercept", fit.intercept)
      .Set("r_squared", fit.r_squared)
      .Set("points", fit.points);
  return json;
}

Json JsonOf(const std::optional<DirectionFits>& fits) {
  if (!fits.has_value()) return Json();
  Json json = Json::Object();
  json.Set("first", fits->first)
      .Set("inverse_gap", JsonOf(fits->inverse_gap))
      .Set("norm", JsonOf(fits->norm))
      .Set("loss_least", fits->loss_least)
      .Set("loss_most", fits->loss_most)
      .Set("loss_last", fits->loss_last);
  return json;
}

Json JsonOf(const std::optional<BiasResult>& bias) {
  if (!bias.has_value()) return Json();
  Json json = Json::Object();
  json.Set("measured", bias->measured)
      .Set("predicted", bias->predicted)
      .Set("cosine", bias->cosine);
  return json;
}

Json CellJson(const Cell& cell, const CellResult& result, bool curves) {
  Json json = Json::Object();
  json.Set("name", cell.name)
      .Set("state", NameOf(result.state.kind))
      .Set("reason", result.state.reason)
      .Set("reused", result.state.reused)
      .Set("rounds", result.state.rounds)
      .Set("planned", cell.config.stop().rounds())
      .Set("seconds", result.state.seconds)
      .Set("bytes", result.bytes)
      .Set("hash", absl::StrFormat("%016x", result.hash))
      .Set("set", result.set)
      .Set("margin", result.margin)
      .Set("fits", JsonOf(result.fits))
      .Set("bias", JsonOf(result.bias));
  Json columns = Json::Object();
  for (const auto& [name, column] : result.columns) {
    columns.Set(name, curves ? NumbersOf(column) : Json(column.back()));
  }
  json.Set(curves ? "columns" : "last", std::move(columns));
  return json;
}

Json SetJson(const StudySet& set) {
  Json rows, limit;
  if (!set.plane.empty()) {
    rows = Json::Array();
    for (const auto& row : set.plane) rows.Add(NumbersOf(row));
    if (!set.limit.empty()) limit = NumbersOf(set.limit);
  }
  Json json = Json::Object();
  json.Set("words", set.facts.has_value() ? TextsOf(SentencesOf(*set.facts))
                                          : Json::Array())
      .Set("rows", std::move(rows))
      .Set("limit", std::move(limit))
      .Set("inverse_gap_slope", set.offset.has_value()
                                    ? Json(set.offset->inverse_gap_slope)
                                    : Json())
      .Set("spans_rows",
           set.offset.has_value() ? Json(set.offset->spans_rows) : Json())
      .Set("heterogeneity", set.facts.has_value()
                                ? Json(set.facts->heterogeneity_mean)
                                : Json());
  return json;
}

Json PointJson(const StudyPoint& point) {
  Json json = Json::Object();
  json.Set("cell", point.cell)
      .Set("algorithm", point.algorithm)
      .Set("local_steps", point.local_steps)
      .Set("rule", point.rule)
      .Set("partition", point.partition)
      .Set("seed", absl::StrCat(point.seed))
      .Set("log_lambda", point.log_lambda);
  return json;
}

Json ToJson(const StudyResults& results, bool curves) {
  const Study& study = *results.study;
  Json cells = Json::Array(), points = Json::Array(), sets = Json::Array();
  for (size_t i = 0; i < results.cells.size(); ++i) {
    cells.Add(CellJson(study.cells.cells[i], results.cells[i], curves));
  }
  for (const StudyPoint& point : study.cells.points) {
    points.Add(PointJson(point));
  }
  Json floors = Json::Array();
  for (const LambdaFloor& floor : results.floors) {
    Json one = Json::Object();
    one.Set("algorithm", floor.algorithm)
        .Set("x", NumbersOf(floor.x))
        .Set("gap", NumbersOf(floor.gap));
    floors.Add(std::move(one));
  }
  Json json = Json::Object();
  json.Set("version", kVersion)
      .Set("name", study.config.name())
      .Set("verdict", TextsOf(results.verdict))
      .Set("notes", TextsOf(results.notes))
      .Set("cells", std::move(cells))
      .Set("points", std::move(points))
      .Set("floors", std::move(floors));
  if (!curves) return json;
  for (const StudySet& set : results.sets) sets.Add(SetJson(set));
  json.Set("sets", std::move(sets)).Set("study_file", PrintStudy(study.config));
  return json;
}

}  // namespace

Json StudyJson(const StudyResults& results) { return ToJson(results, true); }

Json StudySummaryJson(const StudyResults& results) {
  return ToJson(results, false);
}

std::string StudyCsv(const StudyResults& results) {
  std::set<std::string> names;
  for (const CellResult& cell : results.cells) {
    for (const auto& [name, column] : cell.columns) names.insert(name);
  }
  // First what says where a number belongs.
  const std::vector<std::string> first = {"round", "steps", "t", "bytes"};
  std::vector<std::string> order = first;
  for (const std::string& name : first) names.erase(name);
  order.insert(order.end(), names.begin(), names.end());
  std::string csv = "cell,algorithm,local_steps,rule,partition,seed";
  for (const std::string& name : order) absl::StrAppend(&csv, ",", name);
  csv += "\n";
  for (const StudyPoint& point : results.study->cells.points) {
    const CellResult& cell = results.cells[point.cell];
    const std::vector<double>* const rounds = cell.Find("round");
    for (size_t i = 0; rounds != nullptr && i < rounds->size(); ++i) {
      // Names have no comma in them.
      absl::StrAppend(&csv, results.study->cells.cells[point.cell].name, ",",
                      point.algorithm, ",", point.local_steps, ",", point.rule,
                      ",", point.partition, ",", point.seed);
      for (const std::string& name : order) {
        const std::vector<double>* const column = cell.Find(name);
        csv += ",";
        if (column == nullptr || std::isnan((*column)[i])) continue;
        absl::StrAppend(&csv, Json((*column)[i]).ToString());
      }
      csv += "\n";
    }
  }
  return csv;
}

absl::Status WriteStudyReport(const StudyResults& results,
                              const std::string& folder) {
  const Json json = StudyJson(results);
  PARLEY_RETURN_IF_ERROR(ReplaceFile(absl::StrCat(folder, "/", kStudyJsonFile),
                                     absl::StrCat(json.ToString(), "\n")));
  PARLEY_RETURN_IF_ERROR(
      ReplaceFile(absl::StrCat(folder, "/", kStudyCsvFile), StudyCsv(results)));
  return WriteStudyPage(json, absl::StrCat(folder, "/", kStudyReportFile));
}

}  // namespace parley
