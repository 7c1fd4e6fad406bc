// Reads study files: a StudyConfig in protobuf text format.
#ifndef PARLEY_TOOLS_STUDY_STUDY_FILE_H_
#define PARLEY_TOOLS_STUDY_STUDY_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "parley/v1/study.pb.h"
#include "tools/study/cells.h"

namespace parley {

struct Study {
  v1::StudyConfig config;  // as written, overrides applied, defaults filled in
  StudyCells cells;
};

// As LoadRunFile (common/config/load.h): defaults, paths, overrides, and all
// errors at once, those of the cells put down to what the file says.
absl::StatusOr<Study> LoadStudyFile(
    const std::string& path, absl::Span<const std::string> overrides = {});
// The same from the text of the file.
absl::StatusOr<Study> LoadStudyText(
    absl::string_view text, const std::string& path,
    absl::Span<const std::string> overrides = {});

// The file that LoadStudyText reads back as `config`.
std::string PrintStudy(const v1::StudyConfig& config);

}  // namespace parley

#endif  // PARLEY_TOOLS_STUDY_STUDY_FILE_H_
