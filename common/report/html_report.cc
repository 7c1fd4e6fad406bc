#include "common/report/html_report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/flags.h"
#include "common/base/json.h"
#include "common/base/status_macros.h"
#include "common/files/file_io.h"
#include "common/report/direction_facts.h"
#include "common/report/page.h"
#include "common/report/study_page.h"

namespace parley {

namespace {

Json LabelsOf(const ReportRun& run) {
  Json names = Json::Array();
  for (const double label : run.labels.labels) names.Add(label);
  Json counts = Json::Array();
  for (const std::vector<int64_t>& part : run.labels.counts) {
    Json row = Json::Array();
    for (const int64_t count : part) row.Add(count);
    counts.Add(std::move(row));
  }
  Json json = Json::Object();
  json.Set("names", std::move(names))
      .Set("counts", std::move(counts))
      .Set("parts", run.parts)
      .Set("why", run.labels_why);
  return json;
}

}  // namespace

std::string ReportJson(absl::Span<const ReportRun> runs) {
  std::string json =
      absl::StrCat("{\"version\":", Json(kVersion).ToString(), ",\"runs\":[");
  const char* separator = "";
  for (const ReportRun& run : runs) {
    absl::StrAppend(
        &json, separator, "{\"name\":", Json(run.name).ToString(),
        ",\"state\":", Json(run.state).ToString(),
        ",\"reason\":", Json(run.reason).ToString(),
        ",\"planned\":", run.planned_rounds,
        ",\"run_file\":", Json(run.run_file).ToString(),
        ",\"labels\":", LabelsOf(run).ToString(),
        ",\"direction\":", Sentences(run.direction).ToString(),
        ",\"gossip\":", run.gossip ? ToJsonText(*run.gossip) : "null", ",",
        run.history.ToJsonMembers(), "}");
    separator = ",";
  }
  json += "]}";
  return EscapeForHtml(json);
}

absl::Status WriteHtmlReport(absl::Span<const ReportRun> runs,
                             const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReplacer::Create(path));
  const std::string data =
      absl::StrCat("<script type=\"application/json\" id=\"data\">",
                   ReportJson(runs), "</script>");
  PARLEY_RETURN_IF_ERROR(file->Write(
      absl::StrReplaceAll(kReportHtml, {{"/* css */", kPageCss},
                                        {"<!-- body -->", kBodyHtml},
                                        {"<!-- data -->", data},
                                        {"/* chart */", kChartJs},
                                        {"/* page */", kPageJs},
                                        {"/* report */", kReportJs}})));
  return file->Commit();
}

}  // namespace parley
