// A run's status as people's programs read it.
#ifndef PARLEY_COMMON_REPORT_RUN_STATUS_H_
#define PARLEY_COMMON_REPORT_RUN_STATUS_H_

#include <string>

#include "parley/v1/admin.pb.h"

namespace parley {

// The message as one line of JSON, without its newline, under the names of
// admin.proto. 64-bit integers are text, as protobuf writes them.
std::string StatusLine(const v1::RunStatus& status);

// True where the state is one that a run ends in.
bool HasEnded(v1::RunState state);

}  // namespace parley

#endif  // PARLEY_COMMON_REPORT_RUN_STATUS_H_
