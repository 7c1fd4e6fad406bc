// Network addresses as programs are given them: "host:port", "[::1]:port",
// "unix:path".
#ifndef PARLEY_COMMON_RPC_ADDRESS_H_
#define PARLEY_COMMON_RPC_ADDRESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace parley {

// Whether what is sent to `address` stays on this machine: 127.0.0.0/8, ::1,
// "localhost", and Unix sockets. False in doubt, as for "0.0.0.0:80" or ":80".
bool IsLoopback(absl::string_view address);

// OK when unencrypted transport is all right for `address`: on loopback, or
// because `allow_insecure` says so. FailedPrecondition says what to do else.
absl::Status CheckInsecure(absl::string_view address, bool allow_insecure);

// InvalidArgument unless `address` is HOST:PORT, [IPV6]:PORT, with a port of 0
// to 65535, or unix:PATH.
absl::Status CheckAddress(absl::string_view address);

struct HostAndPort {
  std::string host;  // without the brackets of IPv6
  std::string port;
};
// Both are empty where `address` has no port.
HostAndPort SplitAddress(absl::string_view address);

// The address of this machine, with brackets where it is IPv6, by which it
// reaches the server at `address`: a peer of that server can most likely be
// dialled there. Loopback for what IsLoopback. Unavailable: it is not reached.
absl::StatusOr<std::string> LocalHostTowards(const std::string& address);

}  // namespace parley

#endif  // PARLEY_COMMON_RPC_ADDRESS_H_
