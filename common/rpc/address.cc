#include "common/rpc/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace parley {
namespace {

struct HostAndPort {
  std::string host, port;
};

// Both are empty where `address` has no port.
HostAndPort Split(absl::string_view address) {
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

}  // namespace

bool IsLoopback(absl::string_view address) {
  if (absl::StartsWith(address, "unix:")) return true;
  const std::string host = Split(address).host;
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

std::string WhyNotListening(absl::string_view address) {
  const HostAndPort parts = Split(address);
  if (parts.port.empty())
    return "it must be HOST:PORT, [IPV6]:PORT or unix:PATH";
  addrinfo hints = {};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(parts.host.empty() ? nullptr : parts.host.c_str(),
                  parts.port.c_str(), &hints, &found);
  if (error != 0) return gai_strerror(error);
  std::string why = "unknown reason; the log may say more";
  for (addrinfo* a = found; a != nullptr; a = a->ai_next) {
    const int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd < 0) continue;
    // As gRPC does: connections of the past do not hinder.
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, 1) != 0) {
      why = std::strerror(errno);
    }
    close(fd);
  }
  freeaddrinfo(found);
  return why;
}

}  // namespace parley
