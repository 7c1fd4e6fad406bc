// Comma-separated text with a header, plain or gzip: numbers, a column of
// targets, and perhaps one that tells whose rows are whose.
#ifndef PARLEY_COMMON_DATA_CSV_H_
#define PARLEY_COMMON_DATA_CSV_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/data/row_filter.h"
#include "common/data/targets.h"

namespace parley {

struct CsvOptions {
  std::string path;
  std::string target;  // the column with the targets
  // Columns that are no features.
  std::vector<std::string> ignore = {};
  // The column for SourceTargets::groups; empty: none.
  std::string group = {};

  // Of the set that this one goes with, where it does:
  // The features, in this order; other columns are not read. Empty: all that
  // are left are features.
  std::vector<std::string> columns = {};
  // What the targets may be: these texts, which rise and stand for 0, 1, ...;
  // or numbers, where it is empty. None: numbers, or any text.
  std::optional<std::vector<std::string>> labels = {};
};

// The first line names the columns. Features are numbers, stored dense. Targets
// are numbers or, where the first one is no number, texts: then the target is
// the text's rank in the order of bytes. A byte order mark and empty lines are
// skipped, lines end in LF or CRLF; fields are as in csv_line.h.
// The whole file is read and checked whatever the filter keeps.
// InvalidArgument: a column that is not there (they are listed) or is there
// twice; no features; no rows; a line with too few or too many fields, a
// missing value, or one that does not do, named by line and column.
// ResourceExhausted: too large. Others as InputFile.
template <typename T>
absl::StatusOr<Examples<T>> LoadCsv(const CsvOptions& options,
                                    RowFilter filter = RowFilter());

absl::StatusOr<SourceTargets> LoadCsvTargets(const CsvOptions& options);

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_CSV_H_
