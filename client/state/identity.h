// Who a client is: a name that stays, and an incarnation that is new each time
// the program starts.
#ifndef PARLEY_CLIENT_STATE_IDENTITY_H_
#define PARLEY_CLIENT_STATE_IDENTITY_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace parley {

// InvalidArgument unless `name` matches [A-Za-z0-9._-]{1,128}.
absl::Status CheckClientName(absl::string_view name);

// `name` where it is given. Else the name kept in `folder`/name; where there is
// none, this host's name and a few random letters, which are then kept there.
// Makes the folder. An empty `folder` keeps nothing.
// InvalidArgument: no client name. Else what the file system says.
absl::StatusOr<std::string> ClientName(absl::string_view name,
                                       const std::string& folder);

// Drawn from the system's random source; never 0.
uint64_t NewIncarnation();

}  // namespace parley

#endif  // PARLEY_CLIENT_STATE_IDENTITY_H_
