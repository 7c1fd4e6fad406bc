// What pages are made of: the texts of page/, which embed.cmake puts into the
// program when it is built.
#ifndef PARLEY_COMMON_REPORT_PAGE_H_
#define PARLEY_COMMON_REPORT_PAGE_H_

namespace parley {

// Frames, with marks where the rest goes.
extern const char* const kReportHtml;
extern const char* const kLiveHtml;
extern const char* const kBodyHtml;
extern const char* const kStudyBodyHtml;

extern const char* const kPageCss;
extern const char* const kChartJs;  // Debian's Chart.js, with its licence
extern const char* const kPageJs;   // what draws; starts nothing
extern const char* const kStudyJs;  // the same of a study's report
// What starts it: with the data in the file; with what the coordinator sends.
extern const char* const kReportJs;
extern const char* const kLiveJs;

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_PAGE_H_
