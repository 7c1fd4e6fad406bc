// Writes what a study found: a page, JSON and CSV.
#ifndef PARLEY_TOOLS_STUDY_STUDY_REPORT_H_
#define PARLEY_TOOLS_STUDY_STUDY_REPORT_H_

#include <string>

#include "absl/status/status.h"
#include "common/base/json.h"
#include "tools/study/study_results.h"

namespace parley {

inline constexpr char kStudyReportFile[] = "report.html";
inline constexpr char kStudyJsonFile[] = "study.json";
inline constexpr char kStudyCsvFile[] = "study.csv";

// All three, in the study's folder: report.html, study.json (what the page
// shows) and study.csv (a line a point and measured round).
absl::Status WriteStudyReport(const StudyResults& results,
                              const std::string& folder);

// What the page shows; common/report/page/study.js says what its members are.
Json StudyJson(const StudyResults& results);
// The same without the curves: what `parley study --json` prints.
Json StudySummaryJson(const StudyResults& results);
std::string StudyCsv(const StudyResults& results);

}  // namespace parley

#endif  // PARLEY_TOOLS_STUDY_STUDY_REPORT_H_
