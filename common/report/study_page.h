// report.html of a study: its runs in one picture, in one file that needs
// nothing else.
#ifndef PARLEY_COMMON_REPORT_STUDY_PAGE_H_
#define PARLEY_COMMON_REPORT_STUDY_PAGE_H_

#include <string>

#include "absl/status/status.h"
#include "common/base/json.h"

namespace parley {

// `data`: what page/study.js says. Replaces the file when whole; any code of
// the file system.
absl::Status WriteStudyPage(const Json& data, const std::string& path);

// JSON as a page may hold it: no character in it means anything to HTML.
std::string EscapeForHtml(const std::string& json);

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_STUDY_PAGE_H_
