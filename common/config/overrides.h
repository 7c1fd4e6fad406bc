// Changes to a run file from the command line: --set field.path=value.
#ifndef PARLEY_COMMON_CONFIG_OVERRIDES_H_
#define PARLEY_COMMON_CONFIG_OVERRIDES_H_

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace parley {

// Applies "field.path=value" to *message and returns the path. The value is as
// in a run file: 5, 0.1, true, FLOAT64, [300, 100], {alpha: 0.1}; a string may
// go without quotes. It replaces what was there: a list as a whole, a message
// as a whole, and the other arm of a oneof. "list[i]" is one element, and one
// past the last appends; "params.key" is one entry of a map. InvalidArgument:
// no such field (the known ones are listed) or a value that does not fit.
// *message is then unchanged but for messages that the path runs through.
absl::StatusOr<std::string> ApplyOverride(absl::string_view text,
                                          google::protobuf::Message* message);

}  // namespace parley

#endif  // PARLEY_COMMON_CONFIG_OVERRIDES_H_
