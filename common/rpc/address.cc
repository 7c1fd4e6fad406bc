#include "common/rpc/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace parley {

HostAndPort SplitAddress(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos) return {};
  absl::string_view host = address.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (absl::StrContains(host, ':')) {
    return {};  // IPv6 without brackets: where the port begins is anyone's
                // guess
  }
  return {std::string(host), std::string(address.substr(colon + 1))};
}

absl::Status CheckAddress(absl::string_view address) {
  if (absl::StartsWith(address, "unix:")) return absl::OkStatus();
  const std::string port = SplitAddress(address).port;
  const bool digits = !port.empty() &&
                      port.find_first_not_of("0123456789") == std::string::npos;
  int32_t number = 0;
  if (!digits) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", address,
                     "\" is no address: it must be HOST:PORT, [IPV6]:PORT or "
                     "unix:PATH"));
  }
  if (!absl::SimpleAtoi(port, &number) || number > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", address, "\" is no address: a port is 0 to 65535"));
  }
  return absl::OkStatus();
}

bool IsLoopback(absl::string_view address) {
  if (absl::StartsWith(address, "unix:")) return true;
  const std::string host = SplitAddress(address).host;
  if (host == "localhost") return true;
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return ntohl(v4.s_addr) >> 24 == 127;
  }
  in6_addr v6;
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 &&
         std::memcmp(&v6, &in6addr_loopback, sizeof(v6)) == 0;
}

absl::Status CheckInsecure(absl::string_view address, bool allow_insecure) {
  if (allow_insecure || IsLoopback(address)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "refusing unencrypted transport at ", address,
      ", which is not a loopback address: give --tls-ca, --tls-cert and "
      "--tls-key, or --insecure to do without"));
}

absl::StatusOr<std::string> LocalHostTowards(const std::string& address) {
  if (IsLoopback(address)) return "127.0.0.1";
  const HostAndPort server = SplitAddress(address);
  addrinfo hints = {}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  const int error =
      getaddrinfo(server.host.c_str(), server.port.c_str(), &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(absl::StrCat(
        "cannot find out by which address ", address,
        " is reached: ", gai_strerror(error), "; say it by --peer-listen"));
  }
  std::string host;
  for (const addrinfo* at = found; at != nullptr && host.empty();
       at = at->ai_next) {
    // Connecting a datagram socket sends nothing.
    const int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, 0);
    if (fd < 0) continue;
    sockaddr_storage own;
    socklen_t size = sizeof(own);
    char text[NI_MAXHOST];
    if (connect(fd, at->ai_addr, at->ai_addrlen) == 0 &&
        getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) == 0 &&
        getnameinfo(reinterpret_cast<sockaddr*>(&own), size, text, sizeof(text),
                    nullptr, 0, NI_NUMERICHOST) == 0) {
      host = own.ss_family == AF_INET6 ? absl::StrCat("[", text, "]") : text;
    }
    close(fd);
  }
  freeaddrinfo(found);
  if (!host.empty()) return host;
  return absl::UnavailableError(
      absl::StrCat("there is no way to ", address,
                   "; say by --peer-listen "
                   "where to listen for other peers"));
}

}  // namespace parley
