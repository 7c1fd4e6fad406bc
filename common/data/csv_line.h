// Splits a line of comma-separated text (RFC 4180) into its fields.
#ifndef PARLEY_COMMON_DATA_CSV_LINE_H_
#define PARLEY_COMMON_DATA_CSV_LINE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace parley {

// Spaces and tabs around a field do not count. A field in quotes may hold
// commas, spaces, and quotes, which are doubled. Returns what is wrong with the
// line, or nothing. Reuses the memory of *fields.
std::string SplitCsvLine(absl::string_view line,
                         std::vector<std::string>* fields);

}  // namespace parley

#endif  // PARLEY_COMMON_DATA_CSV_LINE_H_
