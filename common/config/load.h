// Reads run files: a RunConfig in protobuf text format.
#ifndef PARLEY_COMMON_CONFIG_LOAD_H_
#define PARLEY_COMMON_CONFIG_LOAD_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/config/validate.h"
#include "parley/v1/run.pb.h"

namespace parley {

// The configuration with every default filled in (defaults.h), checked
// (validate.h), with relative paths made absolute: those of the file start at
// its folder, those of overrides ("field.path=value", overrides.h) at the
// current one. Of other files it reads at most what tells the number of parts
// (an index file, or the column of a CSV file), and the names and shapes in
// start.file of a custom model.
// InvalidArgument: every error that can be told at once, one a line, by line:
//   examples/x.textproto:12: cohort.quorum is 1.5: must be > 0 and <= 1
//   --set stop.rounds=0: stop.rounds is 0: must be >= 1 and <= 1000000000
// NotFound and others: the file cannot be read.
absl::StatusOr<v1::RunConfig> LoadRunFile(
    const std::string& path, absl::Span<const std::string> overrides = {});

// The same from the text of the file; `path` names it in errors and gives the
// run its default name and relative paths their folder. Those of overrides
// start at `folder`, where it is not empty.
absl::StatusOr<v1::RunConfig> LoadRunText(
    absl::string_view text, const std::string& path,
    absl::Span<const std::string> overrides = {},
    const std::string& folder = "");

// The pieces of LoadRunText, for files that have runs in them. Paths that are
// relative start at `folder` from then on.
void MakePathsAbsolute(const std::string& folder, v1::RunConfig* config);
// What is left to do once all that was written is in place: finds the parts and
// tensors that files tell of, fills the defaults in, and says all that is
// wrong.
std::vector<Problem> CompleteRun(v1::RunConfig* config);
// "x" of "examples/x.textproto", made a run's name.
std::string NameOfFile(const std::string& path);

// The run file that LoadRunText reads back as `config`.
std::string PrintRun(const v1::RunConfig& config);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_LOAD_H_
