#include "common/report/study_page.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/status_macros.h"
#include "common/files/file_io.h"
#include "common/report/page.h"

namespace parley {

std::string EscapeForHtml(const std::string& json) {
  // These stand within strings only, where an escape means the same.
  return absl::StrReplaceAll(
      json, {{"<", "\\u003c"}, {">", "\\u003e"}, {"&", "\\u0026"}});
}

absl::Status WriteStudyPage(const Json& data, const std::string& path) {
  PARLEY_ASSIGN_OR_RETURN(const auto file, FileReplacer::Create(path));
  const std::string text =
      absl::StrCat("<script type=\"application/json\" id=\"data\">",
                   EscapeForHtml(data.ToString()), "</script>");
  PARLEY_RETURN_IF_ERROR(file->Write(
      absl::StrReplaceAll(kReportHtml, {{"/* css */", kPageCss},
                                        {"<!-- body -->", kStudyBodyHtml},
                                        {"<!-- data -->", text},
                                        {"/* chart */", kChartJs},
                                        {"/* page */", kStudyJs},
                                        {"/* report */", kReportJs}})));
  return file->Commit();
}

}  // namespace parley
