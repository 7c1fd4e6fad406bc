// The programs that are installed with this one.
#ifndef PARLEY_TOOLS_CLI_FELLOW_H_
#define PARLEY_TOOLS_CLI_FELLOW_H_

#include <string>

#include "absl/status/statusor.h"

namespace parley {

// The path of the program of that name beside this one. NotFound: it is not
// there.
absl::StatusOr<std::string> Fellow(const char* name);

}  // namespace parley

#endif  // PARLEY_TOOLS_CLI_FELLOW_H_
