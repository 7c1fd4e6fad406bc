// report.html: runs as charts, in one file that needs nothing else.
//
// The page is page/: report.html frames report.css, body.html, Debian's
// Chart.js, data.js (what the data is), charts.js, direction.js and matrix.js
// (draw), page.js
// (the rest) and report.js (starts it).
#ifndef PARLEY_COMMON_REPORT_HTML_REPORT_H_
#define PARLEY_COMMON_REPORT_HTML_REPORT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/report/report_run.h"

namespace parley {

inline constexpr char kReportFile[] = "report.html";

// What the page shows: one JSON object in which no character means anything to
// HTML. page/data.js says what its members are.
std::string ReportJson(absl::Span<const ReportRun> runs);

// Writes the page with these runs laid over each other. Replaces the file when
// whole; any code of the file system.
absl::Status WriteHtmlReport(absl::Span<const ReportRun> runs,
                             const std::string& path);

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_HTML_REPORT_H_
