// Names of fields as people write them: "data.partition.dirichlet.alpha",
// "round_values[1].name".
#ifndef PARLEY_COMMON_CONFIG_FIELD_PATH_H_
#define PARLEY_COMMON_CONFIG_FIELD_PATH_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace parley {

struct PathSegment {
  std::string name;
  int index = -1;  // -1: none is given
};

// False where it is no path, whatever message it is meant for.
bool ParseFieldPath(absl::string_view path, std::vector<PathSegment>* segments);

// Whether `path` is `outer` or a field somewhere within it.
bool IsWithin(absl::string_view path, absl::string_view outer);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_FIELD_PATH_H_
